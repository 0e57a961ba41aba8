package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// Collect finds what new disks are copied from and no disk was made of since before
// unused; with remove, it removes it. A disk that is just being made of it has it
// open already, or makes it again.
func (p *Pool) Collect(unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	paths, err := filepath.Glob(filepath.Join(p.dir, "template-*.ext4"))
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(unused) {
			continue
		}
		if err != nil {
			return out, err
		}
		g := nixspace.Garbage{
			Kind: nixspace.GarbageTemplate, Name: "disk " + strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "template-"), ".ext4"),
			LastUsed: info.ModTime(), Reason: "no disk was made of it since " + info.ModTime().Format(time.DateOnly),
		}
		if u, err := FileUsage(path); err == nil {
			g.Size = u.Size
		}
		if remove {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				g.Error = err.Error()
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	return out, nil
}
