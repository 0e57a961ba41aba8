package workspace

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/nixspace/nixspace"
)

// checkTar reads a tar through and returns how many entries it has.
func checkTar(r io.Reader, maxFiles int) (int, error) {
	tr := tar.NewReader(r)
	links := map[string]bool{} // names that are symbolic links
	for files := 0; ; files++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if files == 0 {
				return 0, invalid("it is empty, or no tar")
			}
			return files, nil
		}
		if err != nil {
			return 0, err
		}
		if files >= maxFiles {
			return 0, nixspace.Errorf(nixspace.KindLimit, "workspace_too_large", "the code has more than %d files", maxFiles).
				WithHint("leave out what can be made again, such as node_modules, with .gitignore")
		}
		if err := checkEntry(h, links); err != nil {
			return 0, err
		}
	}
}

// checkEntry checks one entry; links gathers the symbolic links so far.
func checkEntry(h *tar.Header, links map[string]bool) error {
	name, err := checkName(h.Name)
	if err != nil {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if links[dir] {
			return invalid("%q lies below %q, which is a link", h.Name, dir)
		}
	}
	delete(links, name)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeXGlobalHeader:
	case tar.TypeDir:
	case tar.TypeSymlink:
		if name == "." {
			return invalid("its root is a link")
		}
		if err := checkTarget(name, h.Linkname); err != nil {
			return err
		}
		links[name] = true
	case tar.TypeLink:
		target, err := checkName(h.Linkname)
		if err != nil {
			return err
		}
		for dir := target; dir != "."; dir = path.Dir(dir) {
			if links[dir] {
				return invalid("%q is linked to %q, which is reached through a link", h.Name, h.Linkname)
			}
		}
	default:
		return invalid("%q is neither a file nor a directory nor a link", h.Name)
	}
	return nil
}

// checkName returns a cleaned name that stays in the tree.
func checkName(name string) (string, error) {
	switch {
	case len(name) > maxName:
		return "", invalid("the name %.60q… is too long", name)
	case name == "" || strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return "", invalid("%q is no name of a file", name)
	case strings.HasPrefix(name, "/"):
		return "", invalid("%q is an absolute name", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", invalid("%q leaves the tree", name)
		}
	}
	clean := path.Clean(name)
	if strings.Count(clean, "/") >= maxDepth {
		return "", invalid("%.60q… is nested too deeply", name)
	}
	return clean, nil
}

// checkTarget checks that a symbolic link stays in the tree. ".." may only come
// first, where it leaves directories that are real, because no name lies below a
// link: after a name it could leave one that is a link to somewhere higher.
func checkTarget(name, target string) error {
	if target == "" || len(target) > maxName || strings.ContainsRune(target, 0) {
		return invalid("the link %q has no usable target", name)
	}
	out := invalid("the link %q leads to %q, out of the tree", name, target)
	if strings.HasPrefix(target, "/") {
		return out
	}
	up, down := strings.Count(name, "/"), false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if up--; up < 0 || down {
				return out
			}
		default:
			down = true
		}
	}
	return nil
}

// LinkStays reports whether a symbolic link at name that leads to target stays in
// the tree, as [Store.Put] demands of every link.
func LinkStays(name, target string) bool { return checkTarget(path.Clean(name), target) == nil }

func invalid(format string, args ...any) *nixspace.Error {
	return nixspace.Errorf(nixspace.KindInvalid, "workspace_invalid", "the archive of the code is refused: "+format, args...)
}

// uploadError says that what came is damaged, unless something else went wrong.
func uploadError(err error) error {
	var known *nixspace.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nixspace.Errorf(nixspace.KindCanceled, "canceled", "the upload was broken off: %w", err)
	case isDiskFull(err):
		return diskError(err)
	}
	return invalid("it is damaged: %w", err)
}

// readError maps what checkTar and its reader say.
func readError(l *limitReader, err error) error {
	if l.exceeded {
		return nixspace.Errorf(nixspace.KindLimit, "workspace_too_large", "the code is larger than %d MiB", l.files>>20).
			WithHint("leave out what can be made again, such as node_modules, with .gitignore")
	}
	return uploadError(err)
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func diskError(err error) error {
	if isDiskFull(err) {
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk of the state directory is full: %w", err).
			WithHint("free some space, or use another state directory")
	}
	return err
}

// limitReader fails, instead of ending, once there is more than limit.
type limitReader struct {
	r        io.Reader
	n, limit int64
	files    int64 // how many bytes the files may have, for the error
	exceeded bool
}

func (l *limitReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.n += int64(n)
	if l.n > l.limit {
		l.exceeded = true
		return 0, errors.New("too large")
	}
	return n, err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the workspace store: %w", err)
	}
	defer func() { _ = d.Close() }() // opened for reading
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the workspace store: %w", err)
	}
	return nil
}
