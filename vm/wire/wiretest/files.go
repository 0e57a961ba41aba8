package wiretest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// member is one member of an archive: a directory ends with a slash, a link has a
// target.
type member struct {
	name, content, target string
	mode                  int64
	kind                  byte
}

func archive(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: m.mode, Typeflag: m.kind, Linkname: m.target, ModTime: time.Unix(1_000_000_000, 0)}
		if m.kind == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(m.content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, m.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	return z.EncodeAll(b, nil)
}

// listing returns the members of an archive, sorted, one per line.
func listing(t *testing.T, r io.Reader) string {
	t.Helper()
	var lines []string
	a := tar.NewReader(r)
	for {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 30 {
			content = fmt.Appendf(nil, "%d bytes", len(content))
		}
		lines = append(lines, fmt.Sprintf("%s %o %s%s", h.Name, h.Mode, content, h.Linkname))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func testFiles(t *testing.T, g *guest) {
	big := strings.Repeat("some text that repeats\n", 50_000)
	tree := archive(t,
		member{name: "sub/", kind: tar.TypeDir, mode: 0o700},
		member{name: "sub/file", content: "content"},
		member{name: "run.sh", content: "#!/bin/sh\necho ran\n", mode: 0o755},
		member{name: "link", target: "sub/file", kind: tar.TypeSymlink},
		member{name: "absolute", target: "/etc/passwd", kind: tar.TypeSymlink},
		member{name: "deep/er/file", content: big},
		member{name: "hard", target: "sub/file", kind: tar.TypeLink},
	)
	want := fmt.Sprintf(`tree/ 755 
tree/absolute 777 /etc/passwd
tree/deep/ 755 
tree/deep/er/ 755 
tree/deep/er/file 644 %d bytes
tree/hard 644 content
tree/link 777 sub/file
tree/run.sh 755 #!/bin/sh
echo ran

tree/sub/ 700 
tree/sub/file 644 content`, len(big))

	for _, c := range []struct {
		name string
		c    wire.Compression
		data []byte
	}{{"plain", wire.Plain, tree}, {"zstd", wire.Zstd, compress(t, tree)}} {
		t.Run("there and back "+c.name, func(t *testing.T) {
			dir := g.Dir + "/" + c.name + "/tree"
			for range 2 { // the second time over the first
				r, err := g.Put(patient(t), wire.PutRequest{Dir: dir, Compression: c.c}, iotest.HalfReader(bytes.NewReader(c.data)))
				if err != nil {
					t.Fatal(err)
				}
				if r.Files != 7 || r.Bytes < int64(len(big)) {
					t.Errorf("%+v", r)
				}
			}
			if got := g.run(t, nixspace.Command{Argv: []string{dir + "/run.sh"}}, ""); got.stdout != "ran\n" {
				t.Errorf("%+v", got)
			}
			back, err := g.Get(patient(t), wire.GetRequest{Path: dir, Compression: c.c})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = back.Close() }()
			var r io.Reader = back
			if c.c == wire.Zstd {
				z, err := zstd.NewReader(back, zstd.WithDecoderConcurrency(1))
				if err != nil {
					t.Fatal(err)
				}
				defer z.Close()
				r = z
			}
			if diff := cmp.Diff(want, listing(t, r)); diff != "" {
				t.Error(diff)
			}
			if g.Dev {
				if got := g.sh(t, `stat -c %u:%g "$1/deep/er/file" "$1/sub"`, dir); got != "1000:1000\n1000:1000" {
					t.Errorf("the files belong to %q", got)
				}
			}
		})
	}

	t.Run("nothing leaves the directory", func(t *testing.T) {
		g.sh(t, `mkdir -p "$1/outside" && echo safe >"$1/outside/file"`, g.Dir)
		out := g.Dir + "/outside"
		for name, members := range map[string][]member{
			"parent":           {{name: "../outside/file", content: "evil"}},
			"inner parent":     {{name: "a/../../outside/file", content: "evil"}},
			"absolute":         {{name: out + "/file", content: "evil"}},
			"through a link":   {{name: "l", target: out, kind: tar.TypeSymlink}, {name: "l/file", content: "evil"}},
			"relative link":    {{name: "l", target: "../outside", kind: tar.TypeSymlink}, {name: "l/file", content: "evil"}},
			"link twice":       {{name: "a", target: ".", kind: tar.TypeSymlink}, {name: "b", target: "a/../../outside", kind: tar.TypeSymlink}, {name: "b/file", content: "evil"}},
			"hard link":        {{name: "h", target: "../outside/file", kind: tar.TypeLink}, {name: "h", content: "evil"}},
			"hard by link":     {{name: "l", target: out, kind: tar.TypeSymlink}, {name: "h", target: "l/file", kind: tar.TypeLink}},
			"directory":        {{name: "l", target: out, kind: tar.TypeSymlink}, {name: "l/new/", kind: tar.TypeDir, mode: 0o755}},
			"device":           {{name: "null", kind: tar.TypeChar}},
			"file as its root": {{name: ".", content: "evil"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := g.Put(patient(t), wire.PutRequest{Dir: g.Dir + "/inside"}, bytes.NewReader(archive(t, members...)))
				if nixspace.ErrorKind(err) != nixspace.KindInvalid {
					t.Errorf("it passes: %v", err)
				}
				if got := g.sh(t, `cat "$1/file"; ls "$1"; rm -rf "$2"`, out, g.Dir+"/inside"); got != "safe\nfile" {
					t.Errorf("outside is %q", got)
				}
			})
		}
		t.Run("a link in the place of a file is replaced", func(t *testing.T) {
			a := archive(t, member{name: "f", target: out + "/file", kind: tar.TypeSymlink}, member{name: "f", content: "mine"})
			if _, err := g.Put(patient(t), wire.PutRequest{Dir: g.Dir + "/inside"}, bytes.NewReader(a)); err != nil {
				t.Fatal(err)
			}
			if got := g.sh(t, `cat "$1/file" "$2/f"`, out, g.Dir+"/inside"); got != "safe\nmine" {
				t.Errorf("%q", got)
			}
		})
	})

	t.Run("only where dev may write", func(t *testing.T) {
		if !g.Dev {
			t.Log("the user's permissions were NOT tested: the agent keeps its own")
			return
		}
		for _, dir := range []string{"/etc", "/etc/new", "/"} {
			_, err := g.Put(patient(t), wire.PutRequest{Dir: dir}, bytes.NewReader(archive(t, member{name: "wiretest", content: "evil"})))
			wantCode(t, dir, err, "file_forbidden")
		}
	})

	t.Run("a broken archive is an error", func(t *testing.T) {
		for name, r := range map[string]wire.PutRequest{
			"garbage": {Dir: g.Dir + "/broken"},
			"no zstd": {Dir: g.Dir + "/broken", Compression: wire.Zstd},
		} {
			_, err := g.Put(patient(t), r, strings.NewReader(strings.Repeat("garbage", 1000)))
			wantCode(t, name, err, "archive_invalid")
		}
		z := compress(t, tree)
		for _, n := range []int{1, 10, len(z) / 2, len(z) - 1} {
			_, err := g.Put(patient(t), wire.PutRequest{Dir: g.Dir + "/broken", Compression: wire.Zstd}, bytes.NewReader(z[:n]))
			wantCode(t, fmt.Sprintf("cut after %d", n), err, "archive_invalid")
		}
		_, err := g.Put(patient(t), wire.PutRequest{Dir: "relative"}, bytes.NewReader(tree))
		wantCode(t, "relative directory", err, "path_invalid")
		_, err = g.Put(patient(t), wire.PutRequest{Dir: "/proc/nothing"}, bytes.NewReader(tree))
		if err == nil {
			t.Error("a directory that cannot be made passes")
		}
	})

	t.Run("a source that fails is reported and nothing is taken as whole", func(t *testing.T) {
		r := wire.PutRequest{Dir: g.Dir + "/cut", Once: "cut"}
		failure := errors.New("the source failed")
		if _, err := g.Put(patient(t), r, io.MultiReader(bytes.NewReader(tree[:len(tree)/2]), iotest.ErrReader(failure))); !errors.Is(err, failure) {
			t.Errorf("%v", err)
		}
		if res, err := g.Put(patient(t), r, bytes.NewReader(tree)); err != nil || res.Files != 7 {
			t.Errorf("%+v, %v", res, err)
		}
		if res, err := g.Put(patient(t), r, iotest.ErrReader(failure)); err != nil || res.Files != 0 {
			t.Errorf("the second time: %+v, %v", res, err)
		}
	})

	t.Run("stat", func(t *testing.T) {
		g.sh(t, `cd "$1" && printf 12345 >s && chmod 640 s && ln -sf nowhere sl`, g.Dir)
		f, err := g.Stat(patient(t), g.Dir+"/s")
		if err != nil || f.Type != "file" || f.Size != 5 || f.Mode != 0o640 || f.ModTime.IsZero() {
			t.Errorf("%+v, %v", f, err)
		}
		f, err = g.Stat(patient(t), g.Dir+"/sl")
		if err != nil || f.Type != "symlink" || f.Target != "nowhere" {
			t.Errorf("%+v, %v", f, err)
		}
		if f, err := g.Stat(patient(t), g.Dir); err != nil || f.Type != "dir" {
			t.Errorf("%+v, %v", f, err)
		}
		_, err = g.Stat(patient(t), g.Dir+"/nothing")
		wantCode(t, "nothing", err, "file_not_found")
		_, err = g.Get(patient(t), wire.GetRequest{Path: g.Dir + "/nothing"})
		wantCode(t, "nothing", err, "file_not_found")
		_, err = g.Get(patient(t), wire.GetRequest{Path: "/"})
		wantCode(t, "everything", err, "path_invalid")
	})
}

func testDial(t *testing.T, g *guest) {
	t.Run("nothing listens", func(t *testing.T) {
		_, err := g.Dial(patient(t), 1)
		wantCode(t, "port 1", err, "port_refused")
		_, err = g.Dial(patient(t), 70000)
		wantCode(t, "port 70000", err, "port_invalid")
	})
	if g.Echo == nil {
		t.Log("connections were NOT tested: the guest has no echo program")
		return
	}
	p := g.start(t, nixspace.Command{Argv: g.Echo})
	port, err := strconv.Atoi(awaitLine(t, p.Stdout(), ""))
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		t.Run("echo", func(t *testing.T) {
			conn, err := g.Dial(patient(t), port)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			go func() {
				_, _ = conn.Write(data)
				_ = conn.(*wire.Conn).CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
		})
	}
	t.Run("deadline", func(t *testing.T) {
		conn, err := g.Dial(patient(t), port)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := io.ReadFull(conn, b); err != nil || b[0] != 'x' {
			t.Errorf("after a timeout: %q, %v", b, err)
		}
	})
	t.Run("closing ends a reader", func(t *testing.T) {
		conn, err := g.Dial(patient(t), port)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a byte from nowhere")
			}
		case <-ctx.Done():
			t.Error("the reader waits for ever")
		}
	})
}
