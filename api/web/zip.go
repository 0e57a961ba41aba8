package web

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/nixspace/nixspace"
)

// sendZip turns a tar archive into one that every system can open. Symbolic links stay
// what they are.
func sendZip(w io.Writer, archive io.Reader) error {
	t, z := tar.NewReader(archive), zip.NewWriter(w)
	for {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := zipMember(z, t, head); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return err
	}
	return z.Close()
}

func zipMember(z *zip.Writer, t io.Reader, head *tar.Header) error {
	h := &zip.FileHeader{Name: head.Name, Method: zip.Deflate, Modified: head.ModTime}
	mode := fs.FileMode(head.Mode).Perm()
	content := t
	switch head.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		mode, h.Method, content = mode|fs.ModeDir, zip.Store, nil
	case tar.TypeSymlink:
		mode, h.Method, content = mode|fs.ModeSymlink, zip.Store, strings.NewReader(head.Linkname)
	default:
		return nil
	}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil || content == nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}

// spooled keeps the body of a request in a file: a ZIP is read from its end. The
// function frees it.
func (h *Handler) spooled(body io.Reader) (*zip.Reader, func(), error) {
	f, err := os.CreateTemp(h.cfg.Spool, "upload-*.zip")
	if err != nil {
		return nil, nil, err
	}
	free := func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	n, err := io.Copy(f, body)
	if err != nil {
		free()
		return nil, nil, err
	}
	z, err := zip.NewReader(f, n)
	if err != nil {
		free()
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "the body is no ZIP: %w", err)
	}
	return z, free, nil
}

// linkMax is how long the target of a symbolic link may be.
const linkMax = 4096

// zipToTar writes what a ZIP holds as a tar archive, up to limit bytes of content.
func zipToTar(w io.Writer, z *zip.Reader, limit int64) error {
	t, limit0 := tar.NewWriter(w), limit
	for _, f := range z.File {
		mode := f.Mode()
		head := &tar.Header{Name: f.Name, Mode: int64(mode.Perm()), ModTime: f.Modified, Format: tar.FormatPAX}
		var content io.ReadCloser
		switch mode.Type() {
		case fs.ModeDir:
			head.Typeflag = tar.TypeDir
			head.Mode |= 0o700
		case fs.ModeSymlink, 0:
			r, err := f.Open()
			if err != nil {
				return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "%s in the ZIP cannot be read: %w", f.Name, err)
			}
			if mode.Type() == 0 {
				head.Typeflag, head.Size, content = tar.TypeReg, int64(f.UncompressedSize64), r
				head.Mode |= 0o600
				break
			}
			target, err := io.ReadAll(io.LimitReader(r, linkMax))
			r.Close()
			if err != nil {
				return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "%s in the ZIP cannot be read: %w", f.Name, err)
			}
			head.Typeflag, head.Linkname = tar.TypeSymlink, string(target)
		default:
			continue
		}
		if limit -= head.Size; limit < 0 || head.Size < 0 {
			closeIf(content)
			return &http.MaxBytesError{Limit: limit0}
		}
		if err := t.WriteHeader(head); err != nil {
			closeIf(content)
			return err
		}
		if content != nil {
			// A member that lies about its size fails here, or when the next one begins.
			_, err := io.Copy(t, content)
			content.Close()
			if err != nil {
				return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "%s in the ZIP cannot be unpacked: %w", f.Name, err)
			}
		}
	}
	return t.Close()
}

func closeIf(c io.Closer) {
	if c != nil {
		_ = c.Close()
	}
}
