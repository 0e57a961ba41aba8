package daemon

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxNARDepth bounds how deep directories in an archive may be nested.
const maxNARDepth = 1024

// WriteNAR writes a valid store path to w as an archive in Nix's format (NAR).
func (c *Client) WriteNAR(ctx context.Context, path string, w io.Writer) error {
	if err := CheckStorePath(path); err != nil {
		return err
	}
	var writeErr error
	err := c.with(ctx, func(k *conn) error {
		return k.do(ctx, "NarFromPath", func() {
			k.w.u64(opNarFromPath)
			k.w.str(path)
		}, nil, func() {
			n := narCopy{r: k.r, w: bufio.NewWriterSize(w, 64<<10)}
			n.copy()
			writeErr = n.w.Flush()
			if writeErr != nil {
				k.r.fail(writeErr) // the rest of the archive was not read
			}
		})
	})
	if writeErr != nil {
		return fmt.Errorf("write the archive of %s: %w", path, writeErr)
	}
	return err
}

// narCopy copies an archive. A daemon sends it without a length, so its own
// structure has to say where it ends (Nix: src/libutil/archive.cc):
//
//	"nix-archive-1" node
//	node  = "(" "type" ("regular" ["executable" ""] ["contents" bytes]
//	                   | "symlink" "target" string
//	                   | "directory" {entry}) ")"
//	entry = "entry" "(" "name" string "node" node ")"
type narCopy struct {
	r *reader
	w *bufio.Writer
}

func (n *narCopy) copy() {
	n.expect("nix-archive-1")
	n.node(0)
}

func (n *narCopy) token() string {
	s := n.r.str()
	writer{n.w}.str(s)
	return s
}

func (n *narCopy) expect(want string) {
	if got := n.token(); n.r.err == nil && got != want {
		n.r.fail(fmt.Errorf("an archive has %.40q where %q belongs", got, want))
	}
}

func (n *narCopy) node(depth int) {
	if depth > maxNARDepth {
		n.r.fail(errors.New("directories of an archive are nested too deeply"))
		return
	}
	n.expect("(")
	n.expect("type")
	switch t := n.token(); t {
	case "regular":
		tok := n.token()
		if tok == "executable" {
			n.expect("")
			tok = n.token()
		}
		if tok == "contents" {
			n.bytes()
			tok = n.token()
		}
		n.end(tok)
	case "symlink":
		n.expect("target")
		n.token()
		n.expect(")")
	case "directory":
		tok := n.token()
		for tok == "entry" && n.r.err == nil {
			n.expect("(")
			n.expect("name")
			n.token()
			n.expect("node")
			n.node(depth + 1)
			n.expect(")")
			tok = n.token()
		}
		n.end(tok)
	default:
		n.r.fail(fmt.Errorf("an archive has a node of the unknown type %.40q", t))
	}
}

func (n *narCopy) end(tok string) {
	if n.r.err == nil && tok != ")" {
		n.r.fail(fmt.Errorf("an archive has %.40q where a node ends", tok))
	}
}

// bytes copies the content of a file, of any size.
func (n *narCopy) bytes() {
	size := n.r.u64()
	if n.r.err != nil {
		return
	}
	if size > 1<<62 {
		n.r.fail(errTooLong)
		return
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], size)
	_, _ = n.w.Write(b[:])
	if _, err := io.CopyN(n.w, n.r.r, int64(size)); err != nil {
		n.r.fail(err) // where writing failed, Flush says so too
		return
	}
	n.r.padding(size)
	_, _ = n.w.Write(zeros[:(8-size%8)%8])
}
