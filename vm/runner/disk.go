package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/pgcluster"
	"github.com/nixspace/nixspace/vm/volume"
)

// The user dev, on a session's disk.
const (
	devUID = 1000
	devGID = 1000
)

// dataDir is what /data of a guest is on its disk.
const dataDir = "/data"

// newDisk makes the disk of a session that begins, with what was made beforehand for
// its services. Where that fails, they make it themselves.
func (b *builder) newDisk(ctx context.Context) error {
	m := b.spec.Machine
	seed, err := b.seed()
	if err == nil && seed != nil {
		_, _, err = b.pool.Create(ctx, m.SessionID, m.DiskMiB, seed)
		if code := nixspace.ErrorCode(err); err == nil || ctx.Err() != nil || code == "disk_full" || code == "disk_size_invalid" {
			return err
		}
	}
	if err != nil {
		b.log.Warn("services make their data themselves, which takes longer", "err", err)
	}
	_, _, err = b.pool.Create(ctx, m.SessionID, m.DiskMiB, nil)
	return err
}

// seed returns what the disk begins with: nil for nothing.
func (b *builder) seed() (*volume.Seed, error) {
	seed := &volume.Seed{UID: devUID, GID: devGID}
	var finish []func(context.Context, *os.File) error
	h := sha256.New()
	for _, s := range b.spec.Machine.Services {
		if s.Seed == nil || s.Seed.Path == "" {
			continue
		}
		store := b.spec.Host.Store
		if store == "" {
			store = nixspace.StoreDir
		}
		name, ok := strings.CutPrefix(s.Seed.Path, nixspace.StoreDir+"/")
		if !ok || strings.Contains(name, "/") || !strings.HasPrefix(s.Seed.Dir, dataDir+"/") {
			return nil, fmt.Errorf("%q for %q is no seed", s.Seed.Path, s.Seed.Dir)
		}
		tree := volume.Tree{From: filepath.Join(store, name), To: s.Seed.Dir}
		fmt.Fprintf(h, "%s %s\n", name, tree.To)
		seed.Trees = append(seed.Trees, tree)
		if s.Seed.Cluster {
			renew, err := pgcluster.Renewer(tree.From, tree.To)
			if err != nil {
				return nil, err
			}
			finish = append(finish, renew)
		}
	}
	if len(seed.Trees) == 0 {
		return nil, nil
	}
	seed.Key = hex.EncodeToString(h.Sum(nil)[:12])
	seed.Finish = func(ctx context.Context, disk *os.File) error {
		for _, f := range finish {
			if err := f(ctx, disk); err != nil {
				return seedFailed(err)
			}
		}
		return nil
	}
	return seed, nil
}

func seedFailed(err error) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "seed_failed", "the disk cannot begin with what was made for it: %w", err)
}
