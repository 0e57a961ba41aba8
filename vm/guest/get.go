package guest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/archive"
	"github.com/nixspace/nixspace/vm/wire"
)

// stat describes a file.
func (a *Agent) stat(conn net.Conn, r wire.StatRequest) error {
	if err := checkPath(r.Path); err != nil {
		return err
	}
	var f nixspace.FileInfo
	err := a.asDev(func() error {
		info, err := os.Lstat(r.Path)
		if err != nil {
			return err
		}
		f, err = describe(r.Path, info)
		return err
	})
	if err != nil {
		return archive.FileError("stat "+r.Path, err)
	}
	return wire.Reply(conn, f)
}

func describe(path string, info fs.FileInfo) (nixspace.FileInfo, error) {
	f := nixspace.FileInfo{Path: path, Size: info.Size(), Mode: uint32(info.Mode().Perm()), ModTime: info.ModTime()}
	var err error
	switch info.Mode().Type() {
	case 0:
		f.Type = "file"
	case fs.ModeDir:
		f.Type = "dir"
	case fs.ModeSymlink:
		f.Type = "symlink"
		f.Target, err = os.Readlink(path)
	default:
		f.Type = "other"
	}
	return f, err
}

// list describes what is in a directory, a line of JSON for each file.
func (a *Agent) list(conn net.Conn, r wire.ListRequest) error {
	if err := checkPath(r.Dir); err != nil {
		return err
	}
	var files []nixspace.FileInfo
	err := a.asDev(func() error {
		d, err := os.Open(r.Dir)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		entries, err := d.ReadDir(wire.ListMax)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(r.Dir, e.Name())
			info, err := os.Lstat(name)
			if err != nil {
				continue // it has gone meanwhile
			}
			f, _ := describe(name, info)
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		return archive.FileError("list "+r.Dir, err)
	}
	slices.SortFunc(files, func(a, b nixspace.FileInfo) int { return strings.Compare(a.Path, b.Path) })
	if wire.Reply(conn, nil) != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	enc := json.NewEncoder(w.Stream(wire.FrameOut))
	for _, f := range files {
		if enc.Encode(f) != nil {
			return nil
		}
	}
	_ = w.WriteJSON(wire.FrameResult, struct{}{})
	return nil
}

// get sends an archive of a file or directory.
func (a *Agent) get(conn net.Conn, r wire.GetRequest) error {
	if err := checkPath(r.Path); err != nil {
		return err
	}
	if r.Compression != wire.Plain && r.Compression != wire.Zstd {
		return nixspace.Errorf(nixspace.KindInvalid, "compression_unknown", "the guest knows no compression %q", r.Compression)
	}
	name := filepath.Clean(r.Path)
	if name == "/" {
		return nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "the whole machine cannot be archived").
			WithHint("name a directory, such as /workspace")
	}
	var root *os.Root
	var info fs.FileInfo
	err := a.asDev(func() (err error) {
		if root, err = os.OpenRoot(filepath.Dir(name)); err != nil {
			return err
		}
		info, err = root.Lstat(filepath.Base(name))
		return err
	})
	if root != nil {
		defer func() { _ = root.Close() }()
	}
	if err != nil {
		return archive.FileError("open "+name, err)
	}
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	err = a.asDev(func() error {
		return archive.Pack(w.Stream(wire.FrameOut), root, filepath.Base(name), info, r.Compression, archive.Owner{Name: devName, UID: devUID, GID: devGID})
	})
	if err != nil {
		_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
		return nil
	}
	_ = w.WriteJSON(wire.FrameResult, struct{}{})
	return nil
}
