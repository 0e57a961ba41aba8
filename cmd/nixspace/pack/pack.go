// Package pack makes the archive of a project's code that is sent to a server.
package pack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

// Stats describe what went into an archive.
type Stats struct {
	Files   int
	Bytes   int64
	Git     bool     // the files are those that git does not ignore
	Skipped []string // neither file nor folder nor a link within the tree, slash-separated
	// History says whether commits went along, and Note why they did not although the
	// folder has some.
	History bool
	Note    string
}

// ignored are names that are left out where git does not say what belongs to the
// code: what tools put there and make again.
var ignored = map[string]bool{
	".git": true, ".hg": true, ".svn": true, ".jj": true,
	"node_modules": true, ".venv": true, "venv": true, "__pycache__": true,
	".direnv": true, ".devenv": true, ".cache": true, ".DS_Store": true,
}

// epoch is the time of every file: equal trees make equal archives.
var epoch = time.Unix(1, 0)

// Dir writes the folder dir to w as a zstd-compressed tar. In a git work tree it
// takes what git tracks or would track, elsewhere everything but what is
// commonly generated. Files keep whether they are executable, and nothing else
// of their owner, mode or time.
func Dir(ctx context.Context, dir string, w io.Writer, limits nixspace.CodeLimits) (Stats, error) {
	var st Stats
	root, err := os.OpenRoot(dir)
	if err != nil {
		return st, openError(dir, err)
	}
	defer root.Close()
	names, git, err := list(ctx, dir, root, limits.WithDefaults())
	if err != nil {
		return st, err
	}
	st.Git = git
	return st, write(ctx, root.FS(), names, w, &st, limits.WithDefaults(), nil)
}

// FS writes the files of fsys to w, as [Dir] does.
func FS(ctx context.Context, fsys fs.FS, w io.Writer, limits nixspace.CodeLimits) (Stats, error) {
	var st Stats
	names, err := walk(ctx, fsys, limits.WithDefaults())
	if err != nil {
		return st, err
	}
	return st, write(ctx, fsys, names, w, &st, limits.WithDefaults(), nil)
}

// write writes the archive; h is the history that goes along, or nil.
func write(ctx context.Context, fsys fs.FS, names []string, w io.Writer, st *Stats, limits nixspace.CodeLimits, h *history) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return fmt.Errorf("start compression: %w", err)
	}
	t := tar.NewWriter(z)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			z.Close()
			return err
		}
		if err := add(fsys, t, name, st, limits); err != nil {
			z.Close()
			return err
		}
	}
	switch {
	case h == nil:
	case h.note != "":
		st.Note = h.note
	default:
		st.History = true
		if err := h.write(t); err != nil {
			z.Close()
			return err
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	return nil
}

func openError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nixspace.Errorf(nixspace.KindNotFound, "folder_not_found", "there is no folder %s", dir)
	case errors.Is(err, fs.ErrPermission):
		return nixspace.Errorf(nixspace.KindForbidden, "folder_forbidden", "the folder %s cannot be read", dir)
	}
	return nixspace.Errorf(nixspace.KindInvalid, "folder_invalid", "%s cannot be read as a folder: %w", dir, err)
}

// list returns the files to pack, sorted, as slash-separated paths.
func list(ctx context.Context, dir string, root *os.Root, limits nixspace.CodeLimits) (names []string, git bool, err error) {
	if names, ok := gitFiles(ctx, dir); ok {
		if len(names) > limits.Files {
			return nil, true, errFiles(limits)
		}
		return names, true, nil
	}
	names, err = walk(ctx, root.FS(), limits)
	return names, false, err
}

// walk returns all files of a tree but what is commonly generated.
func walk(ctx context.Context, fsys fs.FS, limits nixspace.CodeLimits) (names []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nixspace.Errorf(nixspace.KindInvalid, "folder_unreadable", "%s cannot be read: %w", name, err)
		}
		if name != "." && ignored[d.Name()] {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() {
			names = append(names, name)
			if len(names) > limits.Files {
				return errFiles(limits)
			}
		}
		return ctx.Err()
	})
	slices.Sort(names)
	return names, err
}

// gitFiles asks git for the files of a work tree. It reports false where dir is
// in none, or git cannot say.
func gitFiles(ctx context.Context, dir string) ([]string, bool) {
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	// Whatever the folder's own configuration says, no program of its is run.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.fsmonitor", "GIT_CONFIG_VALUE_0=false", "GIT_OPTIONAL_LOCKS=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, false
	}
	var names []string
	for name := range bytes.SplitSeq(out, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true // a file in conflict is listed once per side
}

func add(fsys fs.FS, t *tar.Writer, name string, st *Stats, limits nixspace.CodeLimits) error {
	if !fs.ValidPath(name) {
		return nixspace.Errorf(nixspace.KindInvalid, "file_name_invalid", "the name of %q is no text in UTF-8", name).
			WithHint("rename it, or name it in .gitignore")
	}
	info, err := fs.Lstat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // tracked by git, deleted in the work tree
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	h := &tar.Header{Name: name, ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case info.Mode().IsRegular():
		h.Typeflag, h.Size, h.Mode = tar.TypeReg, info.Size(), 0o644
		if info.Mode()&0o111 != 0 {
			h.Mode = 0o755
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(fsys, name)
		if err != nil {
			return fmt.Errorf("read link %s: %w", name, err)
		}
		if !within(name, target) {
			st.Skipped = append(st.Skipped, name)
			return nil
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, target, 0o777
	default: // a folder here is a submodule of git
		st.Skipped = append(st.Skipped, name)
		return nil
	}
	st.Files++
	st.Bytes += h.Size
	if st.Bytes > limits.Bytes {
		return nixspace.Errorf(nixspace.KindLimit, "folder_too_large", "the code is larger than %d MiB", limits.Bytes>>20).
			WithHint("leave out what can be made again: name it in .gitignore")
	}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nixspace.Errorf(nixspace.KindInvalid, "file_unreadable", "%s cannot be read: %w", name, err)
	}
	defer f.Close()
	n, err := io.Copy(t, io.LimitReader(f, h.Size))
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	if n < h.Size {
		return nixspace.Errorf(nixspace.KindConflict, "file_changed", "%s became shorter while it was packed", name).
			WithHint("try again once nothing writes to it")
	}
	return nil
}

// within reports whether a link at name points into the tree.
func within(name, target string) bool {
	if path.IsAbs(target) {
		return false
	}
	p := path.Join(path.Dir(name), filepath.ToSlash(target))
	return p != ".." && !strings.HasPrefix(p, "../")
}

func errFiles(l nixspace.CodeLimits) error {
	return nixspace.Errorf(nixspace.KindLimit, "too_many_files", "the folder has more than %d files", l.Files).
		WithHint("leave out what can be made again: name it in .gitignore, or choose a smaller folder")
}
