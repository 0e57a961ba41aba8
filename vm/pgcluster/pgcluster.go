// Package pgcluster gives copies of a PostgreSQL cluster system identifiers of
// their own.
//
// The identifier says which cluster a file belongs to. PostgreSQL makes one when it
// makes a cluster; copies have their original's, as physical replicas should, and
// independent databases should not: an archive of the one could be applied to the
// other. It stands in pg_control, under a checksum, and at the head of every file of
// the write-ahead log (PostgreSQL: src/include/catalog/pg_control.h,
// src/include/access/xlog_internal.h).
package pgcluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/nixspace/nixspace/vm/volume"
)

// The cluster's layout, the same in all versions from 13 to 18.
const (
	controlFile = "global/pg_control"
	controlSize = 512 // what counts of it: it is written as one sector
	walDir      = "pg_wal"
	longHeader  = 0x0002 // XLP_LONG_HEADER, in xlp_info at 2
	walSystemID = 24     // xlp_sysid
)

var walName = regexp.MustCompile(`^[0-9A-F]{24}$`)

// Renewer returns a function that gives the cluster in dir, on a disk that no machine
// has, an identifier of its own. The cluster is a copy of tree, on the host, that
// never ran since.
func Renewer(tree, dir string) (func(ctx context.Context, disk *os.File) error, error) {
	entries, err := os.ReadDir(filepath.Join(tree, walDir))
	if err != nil {
		return nil, fmt.Errorf("look at the cluster: %w", err)
	}
	names := []string{path.Join(dir, controlFile)}
	for _, e := range entries {
		if walName.MatchString(e.Name()) {
			names = append(names, path.Join(dir, walDir, e.Name()))
		}
	}
	return func(ctx context.Context, disk *os.File) error {
		at, err := volume.Blocks(ctx, disk.Name(), names...)
		if err == nil {
			err = renew(disk, at[0], at[1:], newID(time.Now()))
		}
		if err != nil {
			return fmt.Errorf("give a PostgreSQL cluster its identifier: %w", err)
		}
		return nil
	}, nil
}

// newID makes an identifier as PostgreSQL does: the time, and something that makes
// two of a moment differ.
func newID(now time.Time) uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return uint64(now.Unix())<<32 | uint64(binary.LittleEndian.Uint32(b[:]))
}

// renew changes the identifier in the control file at one place of a disk, and in
// the write-ahead log at others.
func renew(disk *os.File, control int64, wal []int64, id uint64) error {
	b := make([]byte, controlSize)
	if _, err := disk.ReadAt(b, control); err != nil {
		return err
	}
	sum := checksumAt(b)
	if sum == 0 {
		return errors.New("its control file is not one that is known")
	}
	old := binary.LittleEndian.Uint64(b)
	binary.LittleEndian.PutUint64(b, id)
	binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], castagnoli))
	changed := 0
	for _, at := range wal {
		head := make([]byte, walSystemID+8)
		if _, err := disk.ReadAt(head, at); err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(head[2:])&longHeader == 0 || binary.LittleEndian.Uint64(head[walSystemID:]) != old {
			continue // it was made ahead, and holds nothing yet
		}
		binary.LittleEndian.PutUint64(head[walSystemID:], id)
		if _, err := disk.WriteAt(head, at); err != nil {
			return err
		}
		changed++
	}
	if changed == 0 {
		return errors.New("its write-ahead log is of another cluster")
	}
	_, err := disk.WriteAt(b, control)
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumAt finds where in a control file its checksum is: that differs between
// versions. It returns 0 where there is none.
func checksumAt(b []byte) int {
	for n := 64; n+4 <= len(b); n += 4 {
		if binary.LittleEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli) && binary.LittleEndian.Uint32(b[n:]) != 0 {
			return n
		}
	}
	return 0
}
