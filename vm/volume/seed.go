package volume

import (
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
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// Seed is what new disks begin with: trees of files, with an owner.
type Seed struct {
	Key      string // names the content; letters and digits, up to 64
	Trees    []Tree
	UID, GID int // who has them, on the disk
	// Finish, unless it is nil, is called for each new disk before anybody sees it.
	// It must change no file's size.
	Finish func(ctx context.Context, disk *os.File) error
}

// Tree is a directory of the host, and where a disk has a copy of it. Links in it
// stay out. Who owns it on the disk may read and write everything, and others nothing.
type Tree struct {
	From string
	To   string // absolute and clean, within the disk
}

func (s *Seed) suffix() string {
	if s == nil {
		return ""
	}
	return "-" + s.Key
}

func seedFailed(err error) error {
	if nixspace.ErrorCode(err) == "disk_full" {
		return err
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "seed_failed", "the disk cannot begin with what was made for it: %w", err)
}

// gather copies the trees to a folder in dir, as they shall be on the disk.
func (s *Seed) gather(ctx context.Context, dir string) (_ string, err error) {
	root, err := os.MkdirTemp(dir, ".seed-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(root)
		}
	}()
	if err := os.Chmod(root, 0o755); err != nil {
		return "", err
	}
	for _, t := range s.Trees {
		if !path.IsAbs(t.To) || path.Clean(t.To) != t.To {
			return "", fmt.Errorf("%q is no place on a disk", t.To)
		}
		if err := os.MkdirAll(filepath.Join(root, path.Dir(t.To)), 0o755); err != nil {
			return "", err
		}
		err := filepath.WalkDir(t.From, func(from string, e fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			rel, err := filepath.Rel(t.From, from)
			if err != nil {
				return err
			}
			to := filepath.Join(root, t.To, rel)
			switch {
			case e.IsDir():
				return os.Mkdir(to, 0o700)
			case !e.Type().IsRegular():
				return nil
			}
			return copyPlain(from, to)
		})
		if err != nil {
			return "", err
		}
	}
	return root, nil
}

func copyPlain(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// own gives the trees on a disk to their owner, whoever runs this: on the host,
// only root could.
func (s *Seed) own(ctx context.Context, image string) error {
	var script strings.Builder
	for _, t := range s.Trees {
		err := filepath.WalkDir(t.From, func(from string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() && !e.Type().IsRegular() {
				return err
			}
			rel, err := filepath.Rel(t.From, from)
			if err != nil {
				return err
			}
			name := path.Join(t.To, filepath.ToSlash(rel))
			if strings.ContainsAny(name, "\"\\\n") {
				return fmt.Errorf("%q is no name for a file of a seed", name)
			}
			fmt.Fprintf(&script, "set_inode_field \"%s\" uid %d\nset_inode_field \"%s\" gid %d\n", name, s.UID, name, s.GID)
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := debugfs(ctx, image, true, script.String())
	return err
}

// Blocks returns where on a disk that nobody has mounted the first block of each
// file is, in bytes.
func Blocks(ctx context.Context, disk string, names ...string) ([]int64, error) {
	var script strings.Builder
	for _, name := range names {
		fmt.Fprintf(&script, "bmap \"%s\" 0\n", name)
	}
	out, err := debugfs(ctx, disk, false, script.String())
	if err != nil {
		return nil, err
	}
	words := strings.Fields(out)
	if len(words) != len(names) {
		return nil, fmt.Errorf("debugfs found %d of %d files on the disk", len(words), len(names))
	}
	f, err := os.Open(disk)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// s_log_block_size (kernel: Documentation/filesystems/ext4/super.rst).
	var size [1]byte
	if _, err := f.ReadAt(size[:], 1024+0x18); err != nil {
		return nil, err
	}
	if size[0] > 6 {
		return nil, errors.New("the disk holds no ext4")
	}
	at := make([]int64, len(words))
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%s has no first block on the disk: %q", names[i], w)
		}
		at[i] = n * (1024 << size[0])
	}
	return at, nil
}

// debugfs runs commands on an image that nobody has mounted, and returns what they
// print. It says what goes wrong on standard error, and only there.
func debugfs(ctx context.Context, image string, write bool, script string) (string, error) {
	args := []string{"-f", "-", image}
	if write {
		args = append([]string{"-w"}, args...)
	}
	cmd := exec.CommandContext(ctx, "debugfs", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("debugfs: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var errs, out []string
	for line := range strings.Lines(stderr.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "debugfs ") {
			errs = append(errs, line)
		}
	}
	if len(errs) > 0 {
		return "", fmt.Errorf("debugfs: %s", strings.Join(errs[:min(len(errs), 5)], "; "))
	}
	for line := range strings.Lines(stdout.String()) {
		if !strings.HasPrefix(line, "debugfs: ") { // it repeats what it is told
			out = append(out, line)
		}
	}
	return strings.Join(out, ""), nil
}
