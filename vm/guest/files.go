package guest

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

const (
	maxMembers = 2_000_000 // of an archive
	maxDepth   = 128       // of a path in it
	// maxWindow bounds what an archive can make the agent hold in memory.
	maxWindow = 32 << 20
)

// asDev runs f with the file permissions of the user dev: the kernel itself then
// refuses what that user may not do. They belong to a thread, so f must not leave
// its goroutine for file operations.
func (a *Agent) asDev(f func() error) error {
	if !a.cfg.Become {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and with it its user.
		runtime.LockOSThread()
		// Also drops the capabilities that overrule permissions, see capabilities(7).
		if err := errors.Join(unix.Setfsgid(devGID), unix.Setfsuid(devUID)); err != nil {
			done <- err
			return
		}
		if got, _ := unix.SetfsuidRetUid(-1); got != devUID {
			done <- errors.New("the thread keeps its user")
			return
		}
		done <- f()
	}()
	return <-done
}

// fileError says what a failed file operation means.
func fileError(what string, err error) error {
	var known *nixspace.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the machine's disk is full: %w", err).
			WithHint("remove files, or give the environment a larger disk")
	case errors.Is(err, fs.ErrNotExist):
		return nixspace.Errorf(nixspace.KindNotFound, "file_not_found", "%s: %w", what, err)
	case errors.Is(err, fs.ErrPermission):
		return nixspace.Errorf(nixspace.KindForbidden, "file_forbidden", "%s: %w", what, err)
	}
	return nixspace.Errorf(nixspace.KindInvalid, "file_failed", "%s: %w", what, err)
}

func archiveError(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "the archive cannot be unpacked: "+format, args...)
}

func checkPath(p string) error {
	if !filepath.IsAbs(p) || strings.Contains(p, "\x00") {
		return nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "%q is not an absolute path", p)
	}
	return nil
}

// put unpacks an archive.
func (a *Agent) put(conn net.Conn, r wire.PutRequest) error {
	if err := checkPath(r.Dir); err != nil {
		return err
	}
	marker, err := a.putMarker(r.Once)
	if err != nil {
		return err
	}
	if marker != "" {
		if _, err := os.Stat(marker); err == nil {
			return wire.Reply(conn, wire.PutAnswer{Skip: true})
		}
	}
	if r.Compression != wire.Plain && r.Compression != wire.Zstd {
		return nixspace.Errorf(nixspace.KindInvalid, "compression_unknown", "the guest knows no compression %q", r.Compression)
	}
	var dir *os.Root
	err = a.asDev(func() error {
		if err := os.MkdirAll(r.Dir, 0o755); err != nil {
			return err
		}
		dir, err = os.OpenRoot(r.Dir)
		return err
	})
	if err != nil {
		return fileError("open "+r.Dir, err)
	}
	defer func() { _ = dir.Close() }()
	if err := wire.Reply(conn, wire.PutAnswer{}); err != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	body := &inReader{frames: wire.NewFrameReader(conn)}
	var result nixspace.FilesWritten
	err = a.asDev(func() error {
		result, err = unpack(dir, body, r.Compression)
		return err
	})
	if err == nil {
		err = finish(dir, marker)
	}
	if err != nil {
		_ = w.WriteJSON(wire.FrameError, wire.EncodeError(err))
		return nil
	}
	_ = w.WriteJSON(wire.FrameResult, result)
	return nil
}

// putMarker returns the file that remembers an archive. It lies where only the
// agent can write.
func (a *Agent) putMarker(once string) (string, error) {
	if once == "" {
		return "", nil
	}
	for _, c := range []byte(once) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "", nixspace.Errorf(nixspace.KindInvalid, "request_invalid", "%q cannot name an archive", once)
		}
	}
	if len(once) > 128 {
		return "", nixspace.Errorf(nixspace.KindInvalid, "request_invalid", "the name of an archive is too long")
	}
	return filepath.Join(a.path(stateDir), "put-"+once), nil
}

// finish makes what was unpacked durable, and only then remembers it.
func finish(dir *os.Root, marker string) error {
	d, err := dir.Open(".")
	if err != nil {
		return fileError("open directory", err)
	}
	defer func() { _ = d.Close() }()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fileError("write files to the disk", err)
	}
	if marker == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
		return fileError("remember the archive", err)
	}
	m, err := os.Create(marker)
	if err != nil {
		return fileError("remember the archive", err)
	}
	err = errors.Join(m.Sync(), m.Close())
	if err == nil {
		err = syncDir(filepath.Dir(marker))
	}
	if err != nil {
		return fileError("remember the archive", err)
	}
	return nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// inReader reads the bytes of FrameIn frames up to FrameInEOF.
type inReader struct {
	frames *wire.FrameReader
	left   int
	eof    bool
}

func (r *inReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		if r.eof {
			return 0, io.EOF
		}
		t, n, err := r.frames.NextHeader()
		switch {
		case errors.Is(err, io.EOF):
			return 0, io.ErrUnexpectedEOF // the host gave up
		case err != nil:
			return 0, err
		case t == wire.FrameIn:
			r.left = n
		case t == wire.FrameInEOF:
			r.eof = true
		default:
			return 0, archiveError("unexpected frame of type %d", t)
		}
	}
	n, err := r.frames.Read(p)
	r.left -= n
	return n, err
}

// unpack unpacks an archive in dir. Every path is resolved by [os.Root], which
// follows no symbolic link out of dir, also not one that appears meanwhile.
func unpack(dir *os.Root, body io.Reader, c wire.Compression) (nixspace.FilesWritten, error) {
	var result nixspace.FilesWritten
	if c == wire.Zstd {
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return result, archiveError("%w", err)
		}
		defer z.Close()
		body = z
	}
	u := unpacker{dir: dir, made: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	archive := tar.NewReader(body)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result, archiveError("%w", err)
		}
		if result.Files++; result.Files > maxMembers {
			return result, archiveError("it has more than %d members", maxMembers)
		}
		n, err := u.member(h, archive)
		result.Bytes += n
		if err != nil {
			return result, err
		}
	}
	// What follows the archive's end belongs to it: its padding, and a checksum
	// that says whether all came through.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return result, archiveError("%w", err)
	}
	return result, nil
}

type unpacker struct {
	dir  *os.Root
	made map[string]bool // directories that are known to exist
	buf  []byte
}

// memberName returns the path of a member below the directory.
func memberName(name string) (string, error) {
	if name == "" || path.IsAbs(name) || strings.Contains(name, "\x00") {
		return "", archiveError("%q is not a relative path", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", archiveError("%q leaves the directory", name)
		}
	}
	name = path.Clean(name)
	if len(name) > 4096 || strings.Count(name, "/") > maxDepth {
		return "", archiveError("the path %.80q… is too long", name)
	}
	return name, nil
}

func (u *unpacker) member(h *tar.Header, data io.Reader) (int64, error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return 0, nil // git archive writes one with the commit
	}
	name, err := memberName(h.Name)
	if err != nil {
		return 0, err
	}
	n, err := u.write(name, h, data)
	if err == nil {
		return n, nil
	}
	var known *nixspace.Error
	if errors.As(err, &known) {
		return n, err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrPermission) {
		return n, fileError("unpack "+name, err)
	}
	return n, archiveError("%s: %w", name, err)
}

func (u *unpacker) write(name string, h *tar.Header, data io.Reader) (int64, error) {
	if h.Typeflag == tar.TypeDir {
		return 0, u.mkdir(name, h.FileInfo().Mode().Perm())
	}
	if name == "." {
		return 0, archiveError("its first directory is no directory")
	}
	if err := u.mkdir(path.Dir(name), 0o755); err != nil {
		return 0, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(name, h, data)
	case tar.TypeSymlink:
		if h.Linkname == "" || strings.Contains(h.Linkname, "\x00") {
			return 0, archiveError("the symbolic link %q points nowhere", name)
		}
		if err := u.clear(name); err != nil {
			return 0, err
		}
		return 0, u.dir.Symlink(h.Linkname, name)
	case tar.TypeLink:
		target, err := memberName(h.Linkname)
		if err != nil {
			return 0, err
		}
		if target == name {
			return 0, nil
		}
		if err := u.clear(name); err != nil {
			return 0, err
		}
		return 0, u.dir.Link(target, name)
	}
	return 0, archiveError("%q is neither a file, a directory nor a link", name)
}

func (u *unpacker) file(name string, h *tar.Header, data io.Reader) (int64, error) {
	if err := u.clear(name); err != nil {
		return 0, err
	}
	perm := h.FileInfo().Mode().Perm() | 0o200 // its owner must be able to write it now
	f, err := u.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(onlyWriter{f}, data, u.buf)
	if err == nil {
		err = f.Chmod(h.FileInfo().Mode().Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && !h.ModTime.IsZero() {
		err = u.dir.Chtimes(name, h.ModTime, h.ModTime)
	}
	return n, err
}

// mkdir makes a directory and those above it. One that is there already gets the
// mode, except for the directory itself that the archive is unpacked in.
func (u *unpacker) mkdir(name string, perm fs.FileMode) error {
	if u.made[name] {
		return nil
	}
	if err := u.dir.MkdirAll(name, perm|0o700); err != nil {
		return err
	}
	u.made[name] = true
	return u.dir.Chmod(name, perm|0o700)
}

// clear makes way for a new member. A directory stays, and then fails what comes.
func (u *unpacker) clear(name string) error {
	err := u.dir.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(u.made, name)
		return nil
	}
	return err
}

// onlyWriter keeps io.Copy from shortcuts around the buffer.
type onlyWriter struct{ io.Writer }
