package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nixspace/nixspace"
)

const opAddToStoreNar = 39

// AddNAR adds a store path of which everything is known already, its content as an
// archive in Nix's format that nar reads. The daemon compares the archive with the
// hash and size in info, and adds nothing where they differ or reading nar fails;
// whether the path is what its name says, nobody can check unless it follows from
// its content (info.CA). The references must be valid. Adding what is there already
// is no error. It fails where the daemon does not trust this user.
func (c *Client) AddNAR(ctx context.Context, info nixspace.PathInfo, nar io.Reader) error {
	if err := checkPaths(append([]string{info.Path}, info.References...)); err != nil {
		return err
	}
	if info.Deriver != "" {
		if err := CheckStorePath(info.Deriver); err != nil {
			return err
		}
	}
	hash, ok := strings.CutPrefix(info.NarHash, "sha256:")
	if !ok || info.NarSize <= 0 {
		return fmt.Errorf("add %s to the store: its hash or size is not known", info.Path)
	}
	var readErr error
	err := c.with(ctx, func(k *conn) error {
		return k.guard(ctx, "AddToStoreNar", func() *Error {
			k.w.u64(opAddToStoreNar)
			k.w.str(info.Path)
			k.w.str(info.Deriver)
			k.w.str(hash)
			k.w.strs(info.References)
			k.w.u64(0) // registered now
			k.w.u64(uint64(info.NarSize))
			k.w.bool(false) // not built here
			k.w.strs(nil)   // signatures
			k.w.str(info.CA)
			k.w.bool(false) // do not repair
			k.w.bool(true)  // signatures are not asked for
			var e *Error
			e, readErr = k.frames(nar)
			return e
		})
	})
	if readErr != nil {
		return fmt.Errorf("read the archive of %s: %w", info.Path, readErr)
	}
	var refused *Error
	if errors.As(err, &refused) {
		return fmt.Errorf("add %s to the store: %w", info.Path, err)
	}
	return err
}
