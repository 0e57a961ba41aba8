package catalog

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// BenchmarkOffers lists the catalog once it was evaluated: one request to the
// daemon about every output.
func BenchmarkOffers(b *testing.B) {
	engine, err := nix.Open(b.Context(), nix.Config{StateDir: b.TempDir(), RuntimeDir: filepath.Dir(nixtest.Socket(b)), Settings: nixtest.Settings(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	c, err := Open(b.Context(), Config{Dir: filepath.Join(b.TempDir(), "catalog"), Engine: engine})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Offers(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Offers(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
