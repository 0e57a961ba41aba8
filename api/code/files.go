package code

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/pkg/sftp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/helper"
)

// What kind a file is, in VS Code's numbers.
const (
	kindUnknown = 0
	kindFile    = 1
	kindFolder  = 2
	kindLink    = 64 // added to what it leads to
)

const entriesMax = 100_000 // of a folder

// stat describes a file.
type stat struct {
	Type     int   `json:"type"`
	Size     int64 `json:"size"`
	Mtime    int64 `json:"mtime"` // milliseconds
	Ctime    int64 `json:"ctime"`
	ReadOnly bool  `json:"readonly,omitempty"`
}

// files are the machine's files, as the user dev may use them.
type files struct {
	p      nixspace.Process
	client *sftp.Client
	errs   sync.WaitGroup
}

// openFiles starts what serves the files.
func openFiles(ctx context.Context, m nixspace.Machine) (*files, error) {
	p, err := helper.Exec(ctx, m, nixspace.Command{Argv: []string{"sftp"}})
	if err != nil {
		return nil, err
	}
	f := &files{p: p}
	f.errs.Go(func() { _, _ = io.Copy(io.Discard, p.Stderr()) })
	f.client, err = sftp.NewClientPipe(p.Stdout(), p.Stdin(), sftp.UseConcurrentWrites(true))
	if err != nil {
		_ = p.Close()
		f.errs.Wait()
		return nil, fmt.Errorf("open the machine's files: %w", err)
	}
	return f, nil
}

// wait returns once the files cannot be reached any more.
func (f *files) wait() { _ = f.client.Wait() }

func (f *files) close() {
	_ = f.client.Close()
	_ = f.p.Close()
	f.errs.Wait()
}

func kind(mode fs.FileMode) int {
	switch {
	case mode.IsDir():
		return kindFolder
	case mode.IsRegular():
		return kindFile
	}
	return kindUnknown
}

func (f *files) stat(name string) (stat, error) {
	info, err := f.client.Lstat(name)
	if err != nil {
		return stat{}, err
	}
	link := 0
	if info.Mode()&fs.ModeSymlink != 0 {
		link = kindLink
		if to, err := f.client.Stat(name); err == nil {
			info = to
		}
	}
	t := info.ModTime().UnixMilli()
	return stat{Type: kind(info.Mode()) | link, Size: info.Size(), Mtime: t, Ctime: t, ReadOnly: info.Mode().Perm()&0o222 == 0}, nil
}

// list returns the names in a folder, each with its kind.
func (f *files) list(ctx context.Context, dir string) ([][2]any, error) {
	infos, err := f.client.ReadDirContext(ctx, dir)
	if err != nil {
		return nil, err
	}
	if len(infos) > entriesMax {
		return nil, failed("too_large", "%s has more than %d files", dir, entriesMax)
	}
	entries := make([][2]any, 0, len(infos))
	for _, info := range infos {
		k := kind(info.Mode())
		if info.Mode()&fs.ModeSymlink != 0 {
			k = kindLink
			if to, err := f.client.Stat(path.Join(dir, info.Name())); err == nil {
				k |= kind(to.Mode())
			}
		}
		entries = append(entries, [2]any{info.Name(), k})
	}
	return entries, nil
}

func (f *files) read(name string) ([]byte, error) {
	file, err := f.client.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, failed("is_folder", "%s is a folder", name)
	case !info.Mode().IsRegular() && info.Size() > 0:
		return nil, failed("forbidden", "%s is no ordinary file", name)
	case info.Size() > fileMax:
		return nil, failed("too_large", "%s has more than %d MiB", name, fileMax>>20)
	}
	// What the machine says of a file's size may change while it is read.
	b, err := io.ReadAll(io.LimitReader(file, fileMax+1))
	if err == nil && len(b) > fileMax {
		err = failed("too_large", "%s has more than %d MiB", name, fileMax>>20)
	}
	return b, err
}

// write writes a file in place: its owner, its mode and what else leads to it stay.
func (f *files) write(name string, content []byte, create, overwrite bool) error {
	info, err := f.client.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return failed("is_folder", "%s is a folder", name)
	case err == nil && create && !overwrite:
		return failed("exists", "%s exists already", name)
	case err != nil && !create:
		return err
	}
	file, err := f.client.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

func (f *files) remove(name string, recursive bool) error {
	info, err := f.client.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() && recursive {
		return f.client.RemoveAll(name)
	}
	return f.client.Remove(name)
}

func (f *files) rename(from, to string, overwrite bool) error {
	if _, err := f.client.Lstat(to); err == nil && !overwrite {
		// Only the letters' case may differ, which is the same name nowhere here.
		return failed("exists", "%s exists already", to)
	}
	return f.client.PosixRename(from, to)
}

// fileProblem says what a failed file operation means.
func fileProblem(err error) *problem {
	var status *sftp.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &problem{"not_found", "there is no such file"}
	case errors.Is(err, fs.ErrPermission):
		return &problem{"forbidden", "the user dev may not do that"}
	case errors.Is(err, fs.ErrExist):
		return &problem{"exists", "there is such a file already"}
	case errors.Is(err, sftp.ErrSSHFxConnectionLost), errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
		return &problem{"unavailable", "the machine is gone"}
	case errors.As(err, &status):
		return &problem{"failed", strings.TrimPrefix(status.Error(), "sftp: ")}
	}
	return &problem{"failed", err.Error()}
}
