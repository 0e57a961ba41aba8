//go:build catalog

package catalog

import (
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// TestWholeCatalog fetches, builds and runs everything that is offered. It takes
// minutes, and 850 MB of downloads the first time.
func TestWholeCatalog(t *testing.T) {
	c := open(t)
	if err := c.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	offers, err := c.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	attrs := []string{BaseAttr}
	for _, p := range offers {
		attrs = append(attrs, p.Attr)
	}
	if err := c.Fetch(t.Context(), attrs, nil); err != nil {
		t.Fatal(err)
	}
	for _, a := range attrs {
		t.Run(a, func(t *testing.T) {
			err := c.Build(t.Context(), []string{a}, func(p nixspace.Progress) {
				if p.Log != "" {
					t.Log(p.Log)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDevelop enters the development shell of a flake with nix itself.
func TestDevelop(t *testing.T) {
	nixtest.NeedDevelop(t)
	c := open(t)
	ctx := t.Context()
	// A shell has the usual tools too.
	if err := c.Fetch(ctx, []string{BaseAttr}, nil); err != nil {
		t.Fatal(err)
	}
	drv, _, err := c.Instantiate(ctx, "shop-env", []string{"bash", "gnugrep"})
	if err != nil {
		t.Fatal(err)
	}
	dir := checkFlake(t, c, drv)
	got, err := c.cfg.Engine.Run(ctx, nix.Command{Dir: dir, Args: []string{
		"develop", "--no-update-lock-file", "path:" + dir, "-c", "bash", "-c", `echo "$SHOP; $(type -p grep); $LOCPATH"`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); !strings.HasPrefix(s, "open now; "+offer(t, c, "gnugrep").OutPath+"/bin/grep; "+nixspace.StoreDir) {
		t.Errorf("the development shell says %q", s)
	}
}
