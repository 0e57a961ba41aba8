package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
)

// Method says how a store path follows from what is added.
type Method string

// The methods.
const (
	// Flat: the content is a file's; the path follows from the hash of its bytes.
	Flat Method = "fixed:"
	// Recursive: the content is a file tree in Nix's archive format (NAR); the
	// path follows from the hash of the archive.
	Recursive Method = "fixed:r:"
)

// AddText adds a file to the store whose path follows from its name, content and
// references, as builtins.toFile and derivations do, and returns the path. The
// references must be valid. Adding what is there already is quick and no error.
func (c *Client) AddText(ctx context.Context, name string, content []byte, references []string) (string, error) {
	info, err := c.add(ctx, name, "text:sha256", references, bytes.NewReader(content))
	return info.Path, err
}

// AddFixed adds content to the store under the path that a fixed-output
// derivation of the same name, method and hash has: a builder that wants it finds
// it there. Algo is "sha256", "sha512" or "sha1". The daemon computes the hash;
// the caller compares the path with what it expects. When reading r fails, nothing
// is added.
func (c *Client) AddFixed(ctx context.Context, name string, m Method, algo string, r io.Reader) (PathInfo, error) {
	switch algo {
	case "sha1", "sha256", "sha512":
	default:
		return PathInfo{}, fmt.Errorf("add %s to the store: unknown hash algorithm %q", name, algo)
	}
	return c.add(ctx, name, string(m)+algo, nil, r)
}

func (c *Client) add(ctx context.Context, name, method string, references []string, src io.Reader) (PathInfo, error) {
	if err := CheckName(name); err != nil {
		return PathInfo{}, err
	}
	if err := checkPaths(references); err != nil {
		return PathInfo{}, err
	}
	var info PathInfo
	var readErr error
	err := c.with(ctx, func(k *conn) error {
		return k.guard(ctx, "AddToStore", func() *Error {
			k.w.u64(opAddToStore)
			k.w.str(name)
			k.w.str(method)
			k.w.strs(references)
			k.w.bool(false) // do not repair
			var e *Error
			if e, readErr = k.frames(src); e != nil || k.r.err != nil {
				return e
			}
			info = k.r.pathInfo(k.r.str())
			if k.r.err == nil {
				if err := CheckStorePath(info.Path); err != nil {
					k.r.fail(err)
				}
			}
			return nil
		})
	})
	if readErr != nil {
		return PathInfo{}, fmt.Errorf("read what is to be added to the store as %s: %w", name, readErr)
	}
	if err != nil {
		return PathInfo{}, err
	}
	return info, nil
}

// frames sends src in frames (Nix: FramedSink in serialise.hh): each its length
// and its bytes, without padding; an empty one ends them. The daemon may send
// messages meanwhile, and may refuse before it has read everything; it then skips
// the rest. A failure to read src cannot be told to the daemon other than by
// breaking the connection.
func (c *conn) frames(src io.Reader) (e *Error, readErr error) {
	var answered atomic.Bool
	done := make(chan struct{})
	var daemonErr *Error
	r := &reader{r: c.r.r}
	go func() {
		defer close(done)
		daemonErr = r.messages(nil)
		answered.Store(true)
	}()
	buf := make([]byte, 64<<10)
	for !answered.Load() {
		n, err := fill(src, buf)
		if n > 0 {
			c.w.u64(uint64(n))
			if _, werr := c.w.w.Write(buf[:n]); werr != nil {
				break // Flush below returns it again
			}
		}
		if err == io.EOF { //nolint:errorlint // an end that somebody wrapped is a failure
			break
		}
		if err != nil {
			readErr = err
			_ = c.c.Close() // ends the goroutine too
			<-done
			c.r.fail(err)
			return nil, readErr
		}
	}
	c.w.u64(0)
	if err := c.w.w.Flush(); err != nil {
		<-done // the connection is gone in both directions
		c.r.fail(err)
		return nil, nil
	}
	<-done
	if r.err != nil {
		c.r.fail(r.err)
	}
	return daemonErr, nil
}

// fill reads until buf is full or r ends. Unlike io.ReadFull it leaves r's error
// as it is: a truncated source must not look like a complete one.
func fill(r io.Reader, buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
