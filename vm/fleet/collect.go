package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/runner"
)

var _ nixspace.GarbageCollector = (*Local)(nil)

// CollectFiles implements [nixspace.GarbageCollector]: images of store layers, boot
// files and templates.
//
// A runner's spec is written before it looks for images, and images that are
// looked for are noted as used. So a session either is among those whose specs are
// read here, or uses its images after the time that counts.
func (l *Local) CollectFiles(ctx context.Context, unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	if now := time.Now(); unused.After(now) {
		unused = now
	}
	needed, err := l.neededLayers()
	if err != nil {
		return nil, err
	}
	out, err := image.NewLayers(l.dir("layers"), l.cfg.Store).Collect(ctx, needed, unused, remove)
	if err != nil {
		return out, fmt.Errorf("collect images: %w", err)
	}
	boot, err := image.CollectBoot(ctx, l.dir("boot"), unused, remove)
	out = append(out, boot...)
	if err != nil {
		return out, err
	}
	templates, err := l.saved.Collect(unused, remove)
	out = append(out, templates...)
	if err != nil {
		return out, fmt.Errorf("collect templates: %w", err)
	}
	disks, err := l.pool.Collect(unused, remove)
	out = append(out, disks...)
	if err != nil {
		return out, fmt.Errorf("collect templates of disks: %w", err)
	}
	if remove {
		l.saved.Sweep()
	}
	return out, nil
}

// neededLayers returns the layers of every session that has a folder, whether it
// runs or not, and of templates in the making.
func (l *Local) neededLayers() ([]nixspace.StoreLayer, error) {
	var out []nixspace.StoreLayer
	for _, dir := range []string{l.sessionsDir(), l.prewarmDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			spec, err := runner.ReadSpec(filepath.Join(dir, e.Name()))
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was never started, or is gone
			}
			if err != nil {
				// Who cannot tell what is needed removes nothing.
				return nil, fmt.Errorf("collect images: %w", err)
			}
			out = append(out, spec.Machine.Layers...)
		}
	}
	return out, nil
}

// SessionSize implements [nixspace.GarbageCollector].
func (l *Local) SessionSize(_ context.Context, id nixspace.ID) (int64, error) {
	if !id.Valid() {
		return 0, fmt.Errorf("size of a session: %q is none", id)
	}
	return l.saved.Size(l.saved.Session(id)), nil
}
