package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

var _ nixspace.WorkspaceCollector = (*Store)(nil)

// leastAge is how long an archive is kept although nobody names it: it is stored
// before the record that names it.
const leastAge = 24 * time.Hour

// CollectWorkspaces implements [nixspace.WorkspaceCollector]. Archives of the last
// day are left alone in any case.
func (s *Store) CollectWorkspaces(ctx context.Context, keep map[string]bool, unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	if latest := time.Now().Add(-leastAge); unused.After(latest) {
		unused = latest
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list stored code: %w", err)
	}
	var out []nixspace.Garbage
	for _, f := range files {
		digest, ok := strings.CutSuffix(f.Name(), ".tar.zst")
		if !ok || !digestPattern.MatchString(digest) || keep[digest] {
			continue
		}
		info, err := f.Info()
		if err != nil || !info.ModTime().Before(unused) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		g := nixspace.Garbage{
			Kind: nixspace.GarbageWorkspace, Name: digest[:12], Size: info.Size(), LastUsed: info.ModTime(),
			Reason: "no project has this code",
		}
		if remove {
			switch gone, err := s.remove(digest, unused); {
			case err != nil:
				g.Error = err.Error()
			case !gone:
				continue
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	return out, nil
}

// remove reports false where the archive was stored again meanwhile: it is taken
// out of the way first, and looked at then.
func (s *Store) remove(digest string, unused time.Time) (bool, error) {
	hidden := filepath.Join(s.dir, ".gone-"+digest)
	if err := os.Rename(s.file(digest), hidden); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	if info, err := os.Stat(hidden); err != nil || !info.ModTime().Before(unused) {
		return false, errors.Join(err, os.Rename(hidden, s.file(digest)))
	}
	return true, os.Remove(hidden)
}
