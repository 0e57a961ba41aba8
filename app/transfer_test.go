package app_test

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/transfer"
	"github.com/nixspace/nixspace/env/bundle"
)

func (h *host) export(t testing.TB, q transfer.ExportQuery) []byte {
	t.Helper()
	x, err := h.Export(h.ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := x.Write(h.ctx, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (h *host) history(t testing.TB, ref string) []nixspace.Version {
	t.Helper()
	vs, err := h.Versions(h.ctx, ref, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

// What counts of versions wherever they are.
func identities(vs []nixspace.Version) []string {
	var out []string
	for _, v := range vs {
		out = append(out, v.VersionHash+" "+v.ComputeHash()+" "+string(v.Canonical)+v.Message+v.DrvPath)
	}
	return out
}

func TestMoveToAnotherServer(t *testing.T) {
	h := newHost(t)
	ws, err := h.PutWorkspace(h.ctx, tarOf(t, map[string]string{"main.js": "1", "nixspace.toml": shop}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Source: "examples/shop", Workspace: ws.Digest}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg13", Edits: set("postgresql", "13")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "pg13", Edits: set("env.A", `"b"`)}); err != nil {
		t.Fatal(err)
	}
	file := h.export(t, transfer.ExportQuery{Ref: "pg13", Closure: true})
	if !bytes.Equal(file, h.export(t, transfer.ExportQuery{Ref: "pg13", Closure: true})) {
		t.Error("two exports of the same differ")
	}

	// A server that has nothing, and whose store has nothing of it.
	o := newHost(t)
	for _, attr := range []string{"nodejs_22", "postgresql_13", "nixspaceBase"} {
		o.packages.SetPresent(false, attr)
	}
	read := func() io.ReadSeeker { return bytes.NewReader(file) }
	_, err = o.Import(o.ctx, read(), transfer.ImportQuery{})
	wantCode(t, err, nixspace.KindInvalid, "closure_untrusted")
	if ps, err := o.Projects(o.ctx); err != nil || len(ps) != 0 {
		t.Errorf("a refused import left projects: %v, %v", ps, err)
	}
	got, err := o.Import(o.ctx, read(), transfer.ImportQuery{Trust: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Environment.Ref() != "shop/pg13" || got.Versions != 3 || got.Paths == 0 || got.Build.Status != nixspace.BuildSucceeded {
		t.Errorf("imported %+v, build %+v", got, got.Build)
	}
	if diff := cmp.Diff(identities(h.history(t, "pg13")), identities(o.history(t, "pg13"))); diff != "" {
		t.Errorf("history (-exported +imported):\n%s", diff)
	}
	theirs, err := h.Realisation(h.ctx, "pg13")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := o.Realisation(o.ctx, "pg13")
	if err != nil || ours.ClosureDigest != theirs.ClosureDigest {
		t.Errorf("realisation %+v, %v, exported %+v", ours, err, theirs)
	}
	p, err := o.Project(o.ctx, "shop")
	if err != nil || p.Workspace != ws.Digest || p.Source != "examples/shop" {
		t.Errorf("project %+v, %v", p, err)
	}
	if o.packages.Runs() > 1 {
		t.Errorf("something was built: %d", o.packages.Runs())
	}

	// Again, and under another name.
	again, err := o.Import(o.ctx, read(), transfer.ImportQuery{})
	if err != nil || again.Environment.ID != got.Environment.ID || again.Versions != 0 || again.Paths != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	other, err := o.Import(o.ctx, read(), transfer.ImportQuery{As: "copy/old"})
	if err != nil || other.Environment.Ref() != "copy/old" || other.Version.ID != got.Version.ID || other.Versions != 0 {
		t.Errorf("under another name: %+v, %v", other, err)
	}
	if _, _, err := o.Change(o.ctx, environments.Change{Ref: "shop/pg13", Edits: set("env.A", `"c"`)}); err != nil {
		t.Fatal(err)
	}
	ahead, err := o.Import(o.ctx, read(), transfer.ImportQuery{})
	if err != nil || ahead.Outcome != transfer.ImportUpToDate || ahead.Version.ID == got.Version.ID {
		t.Errorf("into what follows it: %+v, %v", ahead, err)
	}
	_, err = o.Import(o.ctx, read(), transfer.ImportQuery{As: "../x"})
	wantCode(t, err, nixspace.KindInvalid, "name_invalid")
	_, err = o.Import(o.ctx, bytes.NewReader(file[:len(file)/2]), transfer.ImportQuery{As: "x"})
	wantCode(t, err, nixspace.KindInvalid, bundle.CodeTruncated)

	// A part of the history fits only on top of the rest.
	part := h.export(t, transfer.ExportQuery{Ref: "pg13", History: 1, NoCode: true})
	if in, err := o.Import(o.ctx, bytes.NewReader(part), transfer.ImportQuery{As: "part"}); err != nil || in.Versions != 0 {
		t.Errorf("a part of what is here: %+v, %v", in, err)
	}
	n := newHost(t)
	_, err = n.Import(n.ctx, bytes.NewReader(part), transfer.ImportQuery{})
	wantCode(t, err, nixspace.KindInvalid, "history_missing")

	// Without store paths it is built anew, also in a project of another name.
	plain := h.export(t, transfer.ExportQuery{Ref: "shop"})
	in, err := n.Import(n.ctx, bytes.NewReader(plain), transfer.ImportQuery{As: "mine/shop"})
	if err != nil {
		t.Fatal(err)
	}
	if in.Build.Status != nixspace.BuildSucceeded || in.Version.DrvPath != h.history(t, "shop")[0].DrvPath {
		t.Errorf("built anew: %+v, %+v", in.Build, in.Version)
	}
	if _, _, _, err := n.Branch(n.ctx, environments.Branch{From: "mine/shop", Name: "next", Edits: set("postgresql", "14")}); err != nil {
		t.Error(err)
	}
}

// TestImportOfWhatIsThere: a file says that a path which is in the store, but which
// nobody here has built from what the file says, is its environment.
func TestImportOfWhatIsThere(t *testing.T) {
	h := newHost(t)
	h.create(t)
	file := h.export(t, transfer.ExportQuery{Ref: "shop", Closure: true})
	n := newHost(t)
	n.stop()
	n.packages = h.packages // the same store, and records that know nothing of it
	n.start(t)
	_, err := n.Import(n.ctx, bytes.NewReader(file), transfer.ImportQuery{})
	wantCode(t, err, nixspace.KindInvalid, "output_unproved")
	if ps, err := n.Projects(n.ctx); err != nil || len(ps) != 0 {
		t.Errorf("a refused import left projects: %v, %v", ps, err)
	}
	if _, err := n.Import(n.ctx, bytes.NewReader(file), transfer.ImportQuery{Trust: true}); err != nil {
		t.Error(err)
	}
	// Where it is known what it was built from, nobody needs to be trusted.
	if _, err := h.Import(h.ctx, bytes.NewReader(file), transfer.ImportQuery{As: "copy/shop"}); err != nil {
		t.Error(err)
	}
}

// TestImportMovesForward brings an environment to a server that has an earlier
// version of it, a later one, or another line of it.
func TestImportMovesForward(t *testing.T) {
	h, o := newHost(t), newHost(t)
	h.create(t)
	edit := func(h *host, key, value string) {
		t.Helper()
		if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set(key, value)}); err != nil {
			t.Fatal(err)
		}
	}
	move := func(q transfer.ExportQuery) (*transfer.Imported, error) {
		t.Helper()
		q.Ref = "shop"
		return o.Import(o.ctx, bytes.NewReader(h.export(t, q)), transfer.ImportQuery{Trust: true})
	}
	want := func(outcome transfer.ImportOutcome, versions int, q transfer.ExportQuery) {
		t.Helper()
		got, err := move(q)
		if err != nil {
			t.Fatal(err)
		}
		if got.Outcome != outcome || got.Versions != versions {
			t.Errorf("%s with %d new versions, want %s with %d", got.Outcome, got.Versions, outcome, versions)
		}
		head := o.history(t, "shop")[0]
		if got.Version.ID != head.ID || got.Environment.Head != head.ID {
			t.Errorf("it says version %s, environment at %s, and is at %s", got.Version.ID, got.Environment.Head, head.ID)
		}
	}
	want(transfer.ImportCreated, 1, transfer.ExportQuery{})
	want(transfer.ImportUpToDate, 0, transfer.ExportQuery{})
	edit(h, "env.A", `"1"`)
	edit(h, "postgresql", "14")
	want(transfer.ImportFastForward, 2, transfer.ExportQuery{Closure: true})
	if diff := cmp.Diff(identities(h.history(t, "shop")), identities(o.history(t, "shop"))); diff != "" {
		t.Errorf("history (-exported +imported):\n%s", diff)
	}
	if moves, err := o.Reflog(o.ctx, "shop", 0, 0); err != nil || len(moves) != 2 || moves[0].Action != nixspace.MoveImport {
		t.Errorf("reflog %+v, %v", moves, err)
	}
	edit(h, "env.B", `"1"`)
	want(transfer.ImportFastForward, 1, transfer.ExportQuery{History: 1, NoCode: true}) // on top of what is there

	if _, err := o.ProtectEnvironment(o.ctx, "shop", true); err != nil {
		t.Fatal(err)
	}
	edit(h, "env.B", `"2"`)
	_, err := move(transfer.ExportQuery{})
	wantCode(t, err, nixspace.KindForbidden, "environment_protected")
	if _, err := o.ProtectEnvironment(o.ctx, "shop", false); err != nil {
		t.Fatal(err)
	}
	edit(o, "env.C", `"1"`)
	_, err = move(transfer.ExportQuery{})
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	if n := len(o.history(t, "shop")); n != 5 {
		t.Errorf("%d versions after refused imports", n)
	}
}

// TestMoveOfMerges moves a history in which lines part and meet.
func TestMoveOfMerges(t *testing.T) {
	h := newHost(t)
	h.create(t)
	for _, name := range []string{"a", "b"} {
		if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: name, Edits: set("env."+strings.ToUpper(name), `"1"`)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "b", Edits: set("postgresql", "14")}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"a", "b"} {
		m, err := h.Merge(h.ctx, environments.Merge{From: from, Into: "shop", NoFastForward: true})
		if err != nil || m.Outcome != environments.MergeMerged {
			t.Fatalf("merge %s: %+v, %v", from, m, err)
		}
	}
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set("env.C", `"1"`)}); err != nil {
		t.Fatal(err)
	}
	o := newHost(t)
	got, err := o.Import(o.ctx, bytes.NewReader(h.export(t, transfer.ExportQuery{Ref: "shop", Closure: true})), transfer.ImportQuery{Trust: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Versions != 7 { // the first, one of a, two of b, two merges, one more
		t.Errorf("%d versions are new", got.Versions)
	}
	if diff := cmp.Diff(identities(h.history(t, "shop")), identities(o.history(t, "shop"))); diff != "" {
		t.Errorf("history (-exported +imported):\n%s", diff)
	}
	// What was merged is there too, and a part of it can go home again.
	back := o.export(t, transfer.ExportQuery{Ref: "shop~1", History: 2, NoCode: true})
	in, err := h.Import(h.ctx, bytes.NewReader(back), transfer.ImportQuery{As: "back"})
	if err != nil || in.Versions != 0 || in.Version.VersionHash != h.history(t, "shop")[1].VersionHash {
		t.Errorf("back: %+v, %v", in, err)
	}
	// References of every kind can be compared.
	d, err := h.Diff(h.ctx, inspect.DiffQuery{From: "shop~2", To: "shop@{0}"})
	if err != nil || len(d.Changes) == 0 || d.FromRef != "shop~2" || d.Closure == nil {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := h.Diff(h.ctx, inspect.DiffQuery{To: "shop~1", ManifestOnly: true}); err != nil || len(d.Changes) != 2 {
		t.Errorf("what the merge brought: %+v, %v", d, err)
	}
}

func TestExportNeedsABuild(t *testing.T) {
	h := newHost(t)
	h.packages.SetPresent(false, "postgresql_15")
	h.create(t)
	_, err := h.Export(h.ctx, transfer.ExportQuery{Ref: "shop", Closure: true})
	wantCode(t, err, nixspace.KindInvalid, "not_built")
	if b := h.export(t, transfer.ExportQuery{Ref: "shop"}); len(b) == 0 {
		t.Error("nothing was exported")
	}
	_, err = h.Export(h.ctx, transfer.ExportQuery{Ref: "nope"})
	wantCode(t, err, nixspace.KindNotFound, "environment_unknown")
}

func tarOf(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
