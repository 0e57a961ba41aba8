package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/vm/wire"
)

// FuzzUnpack gives the unpacker what a hostile host could send.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("garbage"), false)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, compressed bool) {
		parent := t.TempDir()
		if err := os.Mkdir(filepath.Join(parent, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		dir, err := os.OpenRoot(filepath.Join(parent, "in"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = dir.Close() }()
		c := wire.Plain
		if compressed {
			c = wire.Zstd
		}
		_, _ = Unpack(dir, strings.NewReader(string(b)), c)
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("outside there is %v, %v", entries, err)
		}
	})
}
