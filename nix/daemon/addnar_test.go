package daemon_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// Paths that were taken out of a store come back as they were; what is not what its
// record says does not come in.
func TestAddNAR(t *testing.T) {
	noLeaks(t)
	socket := nixtest.StartDaemon(t)
	c := daemon.NewClient(daemon.Config{Socket: socket})
	ctx := t.Context()
	low, err := c.AddText(ctx, "low.txt", []byte("low"), nil)
	if err != nil {
		t.Fatal(err)
	}
	top, err := c.AddText(ctx, "top.txt", []byte(strings.Repeat("above "+low+"\n", 10_000)), []string{low})
	if err != nil {
		t.Fatal(err)
	}
	nars := map[string][]byte{}
	for _, p := range []string{low, top} {
		var b bytes.Buffer
		if err := c.WriteNAR(ctx, p, &b); err != nil {
			t.Fatal(err)
		}
		nars[p] = b.Bytes()
	}
	infos, err := c.PathInfos(ctx, []string{low, top})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // and with it the temporary roots
	nixtest.Delete(t, top, low)

	c = daemon.NewClient(daemon.Config{Socket: socket})
	defer c.Close()
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s was added", what)
		}
		for _, p := range []string{low, top} {
			if ok, err := c.IsValidPath(ctx, p); ok || err != nil {
				t.Errorf("after %s: %s is valid: %v, %v", what, p, ok, err)
			}
		}
	}
	refused("a path whose reference is missing", c.AddNAR(ctx, infos[1].PathInfo, bytes.NewReader(nars[top])))
	other := bytes.Replace(nars[low], []byte("low"), []byte("LOW"), 1)
	refused("another content", c.AddNAR(ctx, infos[0].PathInfo, bytes.NewReader(other)))
	refused("a truncated archive", c.AddNAR(ctx, infos[0].PathInfo, bytes.NewReader(nars[low][:len(nars[low])-8])))
	broken := errors.New("the file is broken")
	err = c.AddNAR(ctx, infos[0].PathInfo, io.MultiReader(bytes.NewReader(nars[low]), failing{broken}))
	refused("an archive that cannot be read to its end", err)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	forged := infos[0].PathInfo
	forged.Path = strings.Replace(forged.Path, forged.Path[11:43], strings.Repeat("0", 32), 1)
	refused("content under another address", c.AddNAR(ctx, forged, bytes.NewReader(nars[low])))

	for range 2 { // the second time it is there
		for i, p := range []string{low, top} {
			if err := c.AddNAR(ctx, infos[i].PathInfo, bytes.NewReader(nars[p])); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := c.PathInfos(ctx, []string{low, top})
	if err != nil {
		t.Fatal(err)
	}
	for i := range infos {
		if diff := cmp.Diff(infos[i].PathInfo, again[i].PathInfo); diff != "" {
			t.Errorf("%s came back otherwise (-before +after):\n%s", infos[i].Path, diff)
		}
	}
	var b bytes.Buffer
	if err := c.WriteNAR(ctx, top, &b); err != nil || !bytes.Equal(b.Bytes(), nars[top]) {
		t.Errorf("the content came back otherwise, %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
