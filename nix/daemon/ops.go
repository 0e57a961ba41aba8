package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// The requests (Nix: WorkerOp in worker-protocol.hh).
const (
	opIsValidPath           = 1
	opAddToStore            = 7
	opAddTempRoot           = 11
	opAddIndirectRoot       = 12
	opSetOptions            = 19
	opQueryPathInfo         = 26
	opQueryValidPaths       = 31
	opNarFromPath           = 38
	opQueryMissing          = 40
	opBuildPathsWithResults = 46
)

// PathInfo is what the daemon knows about a valid store path.
type PathInfo struct {
	nixspace.PathInfo
	RegisteredAt time.Time
}

// CheckStorePath returns an error unless p has the form of a store path: the
// store directory, 32 characters of Nix's base 32, a hyphen, a name. Nothing else
// is ever sent to a daemon as a path.
func CheckStorePath(p string) error {
	base, ok := strings.CutPrefix(p, nixspace.StoreDir+"/")
	if !ok || len(base) < 34 || len(base) > 33+211 || base[32] != '-' {
		return fmt.Errorf("%.80q is not a store path", p)
	}
	for i := 0; i < 32; i++ {
		if !strings.ContainsRune("0123456789abcdfghijklmnpqrsvwxyz", rune(base[i])) {
			return fmt.Errorf("%.80q is not a store path", p)
		}
	}
	return CheckName(base[33:])
}

// CheckName returns an error unless name can be the name part of a store path.
func CheckName(name string) error {
	if name == "" || len(name) > 211 || name[0] == '.' {
		return fmt.Errorf("%.80q cannot be the name of a store path", name)
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("+-._?=", c):
		default:
			return fmt.Errorf("%.80q cannot be the name of a store path", name)
		}
	}
	return nil
}

func checkPaths(paths []string) error {
	for _, p := range paths {
		if err := CheckStorePath(p); err != nil {
			return err
		}
	}
	return nil
}

// IsValidPath reports whether the store has a path.
func (c *Client) IsValidPath(ctx context.Context, path string) (bool, error) {
	if err := CheckStorePath(path); err != nil {
		return false, err
	}
	var valid bool
	err := c.with(ctx, func(k *conn) error {
		return k.do(ctx, "IsValidPath", func() {
			k.w.u64(opIsValidPath)
			k.w.str(path)
		}, nil, func() { valid = k.r.bool() })
	})
	return valid, err
}

// ValidPaths returns those of the paths that the store has, sorted.
func (c *Client) ValidPaths(ctx context.Context, paths []string) ([]string, error) {
	if err := checkPaths(paths); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, nil
	}
	var valid []string
	err := c.with(ctx, func(k *conn) error {
		return k.do(ctx, "QueryValidPaths", func() {
			k.w.u64(opQueryValidPaths)
			k.w.strs(paths)
			k.w.bool(false) // do not fetch those that are missing
		}, nil, func() { valid = k.r.strs() })
	})
	slices.Sort(valid)
	return valid, err
}

// PathInfo returns what the store knows about a path; [ErrNotValid] when it does
// not have it.
func (c *Client) PathInfo(ctx context.Context, path string) (PathInfo, error) {
	infos, err := c.PathInfos(ctx, []string{path})
	if err != nil {
		return PathInfo{}, err
	}
	return infos[0], nil
}

// PathInfos returns what the store knows about each of the paths, in their order;
// [ErrNotValid] when it does not have one of them. All are asked for at once, over
// one connection.
func (c *Client) PathInfos(ctx context.Context, paths []string) ([]PathInfo, error) {
	if err := checkPaths(paths); err != nil {
		return nil, err
	}
	infos := make([]PathInfo, 0, len(paths))
	err := c.with(ctx, func(k *conn) error {
		// A batch is small enough for its replies never to fill the socket while
		// requests are still being written, which would stop both sides.
		for batch := range slices.Chunk(paths, 64) {
			if err := k.pathInfos(ctx, batch, &infos); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

func (c *conn) pathInfos(ctx context.Context, paths []string, infos *[]PathInfo) error {
	var missing string
	err := c.guard(ctx, "QueryPathInfo", func() *Error {
		for _, p := range paths {
			c.w.u64(opQueryPathInfo)
			c.w.str(p)
		}
		c.flush()
		var failed *Error
		for _, p := range paths {
			if e := c.r.messages(nil); e != nil {
				failed = e
				continue // the replies to the others follow all the same
			}
			if c.r.err != nil {
				break
			}
			if !c.r.bool() {
				if missing == "" {
					missing = p
				}
				continue
			}
			*infos = append(*infos, c.r.pathInfo(p))
		}
		return failed
	})
	if err == nil && missing != "" {
		return fmt.Errorf("%s: %w", missing, ErrNotValid)
	}
	return err
}

// pathInfo reads what is known of a path (Nix: ValidPathInfo::read).
func (r *reader) pathInfo(path string) PathInfo {
	var i PathInfo
	i.Path = path
	i.Deriver = r.str()
	hash := strings.TrimPrefix(r.str(), "sha256:")
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != 32 {
		r.fail(fmt.Errorf("%.80q is not a SHA-256 in hex", hash))
	}
	i.NarHash = "sha256:" + hash
	i.References = r.strs()
	i.RegisteredAt = time.Unix(int64(r.u64()), 0)
	i.NarSize = int64(r.u64())
	r.bool() // built here
	r.strs() // signatures
	i.CA = r.str()
	if r.err != nil {
		return PathInfo{}
	}
	if err := checkPaths(i.References); err != nil {
		r.fail(fmt.Errorf("references of %s: %w", path, err))
	}
	if i.NarSize < 0 {
		r.fail(errors.New("a negative size"))
	}
	slices.Sort(i.References)
	return i
}

// AddTempRoot keeps a path from the garbage collector while this client's
// connections to the daemon last.
func (c *Client) AddTempRoot(ctx context.Context, path string) error {
	if err := CheckStorePath(path); err != nil {
		return err
	}
	return c.with(ctx, func(k *conn) error {
		return k.do(ctx, "AddTempRoot", func() {
			k.w.u64(opAddTempRoot)
			k.w.str(path)
		}, nil, func() { k.r.u64() })
	})
}

// AddIndirectRoot tells the garbage collector of link, a symbolic link outside of
// the store (absolute): what it points to in the store is kept as long as the
// link exists.
func (c *Client) AddIndirectRoot(ctx context.Context, link string) error {
	return c.with(ctx, func(k *conn) error {
		return k.do(ctx, "AddIndirectRoot", func() {
			k.w.u64(opAddIndirectRoot)
			k.w.str(link)
		}, nil, func() { k.r.u64() })
	})
}

// Missing says what a build would have to do.
type Missing struct {
	Build        []string // derivations
	Substitute   []string // paths to fetch
	Unknown      []string // paths that can be neither built nor fetched
	DownloadSize int64    // bytes
	NarSize      int64    // bytes in the store afterwards
}

// Missing returns what building targets would have to do. Targets are as in
// [Client.Build].
func (c *Client) Missing(ctx context.Context, targets []string) (Missing, error) {
	if err := checkTargets(targets); err != nil {
		return Missing{}, err
	}
	var m Missing
	err := c.with(ctx, func(k *conn) error {
		return k.do(ctx, "QueryMissing", func() {
			k.w.u64(opQueryMissing)
			k.w.strs(targets)
		}, nil, func() {
			m = Missing{
				Build: k.r.strs(), Substitute: k.r.strs(), Unknown: k.r.strs(),
				DownloadSize: int64(k.r.u64()), NarSize: int64(k.r.u64()),
			}
		})
	})
	return m, err
}
