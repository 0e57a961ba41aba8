package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

func storePath(hash byte, name string) string {
	return nixspace.StoreDir + "/" + strings.Repeat(string(hash), 32) + "-" + name
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// version makes a valid version.
func version(t testing.TB, text, message string, at int, parents ...*nixspace.Version) *nixspace.Version {
	t.Helper()
	m, err := manifest.Parse(manifest.FileName, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := &manifest.Resolved{Manifest: m, System: "x86_64-linux", Base: storePath('1', "base")}
	for key, c := range m.Packages {
		r.Packages = append(r.Packages, manifest.Package{
			Key: key, Constraint: c, Attr: key + "_" + c.String(), Family: key, Version: c.String(), OutPath: storePath('2', key+"-"+c.String()),
		})
	}
	v := &nixspace.Version{
		ManifestHash: r.Hash(), Manifest: text, Canonical: r.Canonical().JSON(), FlakeContent: "{ }", FlakeLock: "{}",
		DrvPath: storePath('3', "shop-env.drv"), OutPath: storePath('4', "shop-env"), Message: message, Author: "ada",
		Changes:   []nixspace.Change{{Op: nixspace.ChangeSet, Path: "packages.git", To: "*"}},
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5+at, 678_901_000, time.UTC),
	}
	for _, p := range parents {
		v.Parents = append(v.Parents, p.VersionHash)
	}
	v.VersionHash = v.ComputeHash()
	return v
}

// contents are what an export takes from elsewhere.
type contents map[string][]byte

func (c contents) WriteWorkspace(_ context.Context, digest string, w io.Writer) error {
	_, err := w.Write(c[digest])
	return err
}

func (c contents) WriteNAR(_ context.Context, path string, w io.Writer) error {
	_, err := w.Write(c[path])
	return err
}

// example is an export with a merge in its history, code and a closure.
func example(t testing.TB) (*Export, contents) {
	first := version(t, "[packages]\nnodejs = \"22\"\n", "First", 0)
	left := version(t, "[packages]\nnodejs = \"24\"\n", "Left ünd <right>", 1, first)
	right := version(t, "[packages]\nnodejs = \"22\"\n[env]\nA = \"b\"\n", "Right", 2, first)
	head := version(t, "[packages]\nnodejs = \"24\"\n[env]\nA = \"b\"\n", "Merge", 3, left, right)
	c := contents{}
	e := &Export{
		Project: "shop", Environment: "main", Source: "examples/shop", Versions: []*nixspace.Version{first, left, right, head},
		Roots: []Root{{RootEnvironment, head.OutPath}, {RootBase, storePath('1', "base")}},
	}
	code := bytes.Repeat([]byte("code "), 1000)
	e.Workspace, e.WorkspaceSize = sum(code), int64(len(code))
	c[e.Workspace] = code
	add := func(path string, size int, refs ...string) {
		nar := bytes.Repeat([]byte(path), size)
		c[path] = nar
		e.Paths = append(e.Paths, nixspace.PathInfo{Path: path, NarHash: "sha256:" + sum(nar), NarSize: int64(len(nar)), References: refs, Deriver: storePath('5', "x.drv")})
	}
	add(head.OutPath, 1, storePath('6', "libc"), storePath('7', "nodejs"))
	add(storePath('7', "nodejs"), 300, storePath('6', "libc"), storePath('7', "nodejs"))
	add(storePath('1', "base"), 2, storePath('6', "libc"))
	add(storePath('6', "libc"), 5)
	return e, c
}

func write(t testing.TB, e *Export, c contents) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(context.Background(), &b, e, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	e, c := example(t)
	data := write(t, e, c)
	if !bytes.Equal(data, write(t, e, c)) {
		t.Error("two exports of the same are not equal")
	}
	var got []*nixspace.Version
	read := contents{}
	var order []string
	idx, err := Read(bytes.NewReader(data), Limits{}, Visitor{
		Version: func(v *nixspace.Version) error { got = append(got, v); return nil },
		Workspace: func(digest string, r io.Reader) error {
			b, err := io.ReadAll(r)
			read[digest] = b
			return err
		},
		Path: func(p Path, r io.Reader) error {
			order = append(order, nixspace.StorePathName(p.Path))
			b, err := io.ReadAll(r)
			read[p.Path] = b
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Versions, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if !maps.EqualFunc(c, read, bytes.Equal) {
		t.Error("the contents differ")
	}
	if want := []string{"base", "libc", "nodejs", "shop-env"}; len(order) != 4 || order[0] != "libc" || order[3] != "shop-env" && order[2] != "shop-env" {
		t.Errorf("paths in the order %v, of %v", order, want)
	}
	if idx.String() != "shop/main "+e.Versions[3].VersionHash[:8] || idx.Source != "examples/shop" || len(idx.Prerequisites) != 0 {
		t.Errorf("index %+v", idx)
	}
	// Reading without a visitor verifies.
	if _, err := Read(bytes.NewReader(data), Limits{}, Visitor{}); err != nil {
		t.Error(err)
	}

	// A part of the history, and nothing besides.
	short := &Export{Project: "shop", Environment: "main", Versions: e.Versions[3:]}
	idx, err = Read(bytes.NewReader(write(t, short, nil)), Limits{}, Visitor{})
	if err != nil || !cmp.Equal(idx.Prerequisites, e.Versions[3].Parents) {
		t.Errorf("prerequisites %v, %v", idx, err)
	}
}

func TestWriteFails(t *testing.T) {
	e, c := example(t)
	libc := storePath('6', "libc")
	for name, spoil := range map[string]func(){
		"other content": func() { c[libc] = bytes.ToUpper(c[libc]) },
		"too little":    func() { c[libc] = c[libc][1:] },
		"too much":      func() { c[libc] = append(c[libc], '!') },
		"not closed":    func() { e.Paths = e.Paths[:3] },
		"no name":       func() { e.Project = "Not a name" },
	} {
		e, c = example(t)
		spoil()
		if _, err := Write(context.Background(), io.Discard, e, c); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
	e, c = example(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, io.Discard, e, c); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// entry is a member of a file that a test forges.
type entry struct {
	header tar.Header
	body   []byte
}

func unpack(t testing.TB, data []byte) []entry {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out []entry
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF { //nolint:errorlint // the end of a tar is bare
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{*h, b})
	}
}

func pack(t testing.TB, entries []entry, after string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := tar.Header{Name: e.header.Name, Typeflag: e.header.Typeflag, Linkname: e.header.Linkname, Mode: 0o644, Size: int64(len(e.body))}
		if h.Typeflag != tar.TypeReg {
			h.Size, e.body = 0, nil
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), justErr(io.WriteString(z, after)), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func justErr[T any](_ T, err error) error { return err }

// indexed changes the index of a file.
func indexed(t testing.TB, es []entry, change func(*Index)) []entry {
	t.Helper()
	var idx Index
	if err := json.Unmarshal(es[0].body, &idx); err != nil {
		t.Fatal(err)
	}
	change(&idx)
	b, err := json.Marshal(idx)
	if err != nil {
		t.Fatal(err)
	}
	es[0].body = b
	return es
}

// rewritten replaces a member's content and says so in the index: only what the
// content itself must be can still tell.
func rewritten(t testing.TB, es []entry, i int, body []byte) []entry {
	es[i].body = body
	return indexed(t, es, func(x *Index) { x.Members[i-1].Size, x.Members[i-1].SHA256 = int64(len(body)), sum(body) })
}

func TestReadRefuses(t *testing.T) {
	e, c := example(t)
	good := write(t, e, c)
	for name, tt := range map[string]struct {
		forge func([]entry) []entry
		code  string
	}{
		"no index":            {func(es []entry) []entry { return es[1:] }, CodeFormat},
		"another format":      {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Format = "zip" }) }, CodeFormat},
		"a newer version":     {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Version = 2 }) }, CodeVersion},
		"an index of garbage": {func(es []entry) []entry { es[0].body = []byte("{"); return es }, CodeInvalid},
		"nothing at all":      {func([]entry) []entry { return nil }, CodeTruncated},
		"members left out":    {func(es []entry) []entry { return es[:5] }, CodeTruncated},
		"a member twice":      {func(es []entry) []entry { return append(es[:3:3], es[2:]...) }, CodeInvalid},
		"another order":       {func(es []entry) []entry { es[1], es[2] = es[2], es[1]; return es }, CodeInvalid},
		"one more":            {func(es []entry) []entry { return append(es, entry{tar.Header{Name: "x", Typeflag: tar.TypeReg}, nil}) }, CodeInvalid},
		"an escaping name":    {func(es []entry) []entry { es[6].header.Name = "../../etc/passwd"; return es }, CodeInvalid},
		"a link": {func(es []entry) []entry {
			es[6].header.Typeflag, es[6].header.Linkname = tar.TypeSymlink, "/etc/passwd"
			return es
		}, CodeInvalid},
		"a changed version": {func(es []entry) []entry {
			es[1].body = bytes.Replace(es[1].body, []byte("First"), []byte("Worst"), 1)
			return es
		}, CodeHash},
		"a changed store path": {func(es []entry) []entry { es[7].body[3] ^= 1; return es }, CodeHash},
		"changed code":         {func(es []entry) []entry { es[5].body[3] ^= 1; return es }, CodeHash},
		"a longer store path":  {func(es []entry) []entry { es[7].body = append(es[7].body, 'x'); return es }, CodeInvalid},
		"a forged version": {func(es []entry) []entry {
			return rewritten(t, es, 1, bytes.Replace(es[1].body, []byte("First"), []byte("Worst"), 1))
		}, CodeHash},
		"a forged canonical form": {func(es []entry) []entry {
			return rewritten(t, es, 1, bytes.Replace(es[1].body, []byte("nodejs-22"), []byte("malice-22"), 1))
		}, CodeHash},
		"a version that is no JSON": {func(es []entry) []entry { return rewritten(t, es, 1, []byte("null x")) }, CodeInvalid},
		"a large version":           {func(es []entry) []entry { return rewritten(t, es, 1, make([]byte, maxVersion+1)) }, CodeTooLarge},
		"a name that escapes":       {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Project = "../x" }) }, CodeInvalid},
		"a path that escapes": {func(es []entry) []entry {
			return indexed(t, es, func(x *Index) { x.Paths[0].Path = "/nix/store/../../etc" })
		}, CodeInvalid},
		"a path twice": {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Paths[1] = x.Paths[0] }) }, CodeInvalid},
		"a reference to elsewhere": {func(es []entry) []entry {
			return indexed(t, es, func(x *Index) { x.Paths[0].References = []string{storePath('9', "x")} })
		}, CodeInvalid},
		"no root": {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Roots = nil }) }, CodeInvalid},
		"a root of elsewhere": {func(es []entry) []entry {
			return indexed(t, es, func(x *Index) { x.Roots[0].Path = storePath('9', "x") })
		}, CodeInvalid},
		"another head": {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Head = x.Versions[0] }) }, CodeInvalid},
		"a version that nothing follows": {func(es []entry) []entry {
			x := version(t, "[packages]\n", "Alone", 9)
			b, err := encodeVersion(x)
			if err != nil {
				t.Fatal(err)
			}
			es = append(es[:1:1], append([]entry{{tar.Header{Name: versionName(x.VersionHash), Typeflag: tar.TypeReg}, b}}, es[1:]...)...)
			return indexed(t, es, func(i *Index) {
				i.Versions = append([]string{x.VersionHash}, i.Versions...)
				i.Members = append([]Member{{versionName(x.VersionHash), int64(len(b)), sum(b)}}, i.Members...)
			})
		}, CodeInvalid},
		"a bomb": {func(es []entry) []entry { return indexed(t, es, func(x *Index) { x.Members[4].Size = 1 << 50 }) }, CodeTooLarge},
		"a version from before its parent": {func(es []entry) []entry {
			old := version(t, "[packages]\n", "Old", -9, e.Versions[3])
			b, err := encodeVersion(old)
			if err != nil {
				t.Fatal(err)
			}
			es = append(es[:5:5], append([]entry{{tar.Header{Name: versionName(old.VersionHash), Typeflag: tar.TypeReg}, b}}, es[5:]...)...)
			return indexed(t, es, func(i *Index) {
				i.Versions, i.Head = append(i.Versions, old.VersionHash), old.VersionHash
				i.Members = append(i.Members[:4:4], append([]Member{{versionName(old.VersionHash), int64(len(b)), sum(b)}}, i.Members[4:]...)...)
			})
		}, CodeInvalid},
	} {
		data := pack(t, tt.forge(unpack(t, good)), "")
		seen := 0
		_, err := Read(bytes.NewReader(data), Limits{}, Visitor{Path: func(_ Path, r io.Reader) error {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return errors.New("copying failed")
			}
			seen++
			return nil
		}})
		if nixspace.ErrorCode(err) != tt.code {
			t.Errorf("%s: got %v (%s), want %s", name, err, nixspace.ErrorCode(err), tt.code)
		}
	}

	// Every way to cut it is noticed.
	for n := 0; n < len(good); n += 1 + len(good)/60 {
		if _, err := Read(bytes.NewReader(good[:n]), Limits{}, Visitor{}); err == nil {
			t.Errorf("%d of %d bytes were enough", n, len(good))
		}
	}
	for what, data := range map[string][]byte{"text": []byte("hello, this is no archive at all"), "more after its end": pack(t, unpack(t, good), "more")} {
		if _, err := Read(bytes.NewReader(data), Limits{}, Visitor{}); nixspace.ErrorKind(err) != nixspace.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, lim := range map[string]Limits{"size": {Unpacked: 1000}, "versions": {Versions: 3}, "paths": {Paths: 3}} {
		if _, err := Read(bytes.NewReader(good), lim, Visitor{}); nixspace.ErrorCode(err) != CodeTooLarge {
			t.Errorf("over the limit of %s: %v", what, err)
		}
	}
	broken := errors.New("the disk is broken")
	if _, err := Read(io.MultiReader(bytes.NewReader(good[:500]), failing{broken}), Limits{}, Visitor{}); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	stop := errors.New("stop")
	if _, err := Read(bytes.NewReader(good), Limits{}, Visitor{Path: func(Path, io.Reader) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("a visitor that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzRead looks for files that make the reader panic, or that it accepts without
// having verified each member.
func FuzzRead(f *testing.F) {
	e, c := example(f)
	good := write(f, e, c)
	f.Add(good, false)
	f.Add(good[:len(good)/2], false)
	var plain bytes.Buffer
	z, err := zstd.NewReader(bytes.NewReader(good))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := io.Copy(&plain, z); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes(), true)
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		if raw { // the fuzzer cannot compress
			enc, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			data = enc.EncodeAll(data, nil)
		}
		members := 0
		idx, err := Read(bytes.NewReader(data), Limits{Unpacked: 1 << 20}, Visitor{
			Version:   func(v *nixspace.Version) error { members++; return check(v.ComputeHash(), v.VersionHash) },
			Workspace: func(d string, r io.Reader) error { members++; return hashed(r, d) },
			Path:      func(p Path, r io.Reader) error { members++; return hashed(r, strings.TrimPrefix(p.NarHash, "sha256:")) },
		})
		if err != nil {
			if nixspace.ErrorKind(err) == nixspace.KindInternal || nixspace.ErrorCode(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if members != len(idx.Members) {
			t.Fatalf("%d of %d members were read", members, len(idx.Members))
		}
	})
}

func check(got, want string) error {
	if got != want {
		panic(fmt.Sprintf("got %s, want %s", got, want))
	}
	return nil
}

func hashed(r io.Reader, want string) error {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	return check(hex.EncodeToString(h.Sum(nil)), want)
}
