package guest

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/archive"
	"github.com/nixspace/nixspace/vm/wire"
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
		return archive.FileError("open "+r.Dir, err)
	}
	defer func() { _ = dir.Close() }()
	if err := wire.Reply(conn, wire.PutAnswer{}); err != nil {
		return nil
	}
	w := wire.NewFrameWriter(conn)
	body := &inReader{frames: wire.NewFrameReader(conn)}
	var result nixspace.FilesWritten
	err = a.asDev(func() error {
		result, err = archive.Unpack(dir, body, r.Compression)
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
		return archive.FileError("open directory", err)
	}
	defer func() { _ = d.Close() }()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return archive.FileError("write files to the disk", err)
	}
	if marker == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
		return archive.FileError("remember the archive", err)
	}
	m, err := os.Create(marker)
	if err != nil {
		return archive.FileError("remember the archive", err)
	}
	err = errors.Join(m.Sync(), m.Close())
	if err == nil {
		err = syncDir(filepath.Dir(marker))
	}
	if err != nil {
		return archive.FileError("remember the archive", err)
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
			return 0, archive.Error("unexpected frame of type %d", t)
		}
	}
	n, err := r.frames.Read(p)
	r.left -= n
	return n, err
}
