package web

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// files returns the machine of a session as one whose files can be reached, and the
// cleaned path that a request names.
func (h *Handler) files(r *http.Request) (nixspace.Files, string, error) {
	p := r.URL.Query().Get("path")
	if p == "" {
		p = "/workspace"
	}
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return nil, "", nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "%q is not an absolute path", p)
	}
	m, err := h.cfg.App.Machine(r.Context(), r.PathValue("ref"))
	if err != nil {
		return nil, "", err
	}
	f, ok := m.(nixspace.Files)
	if !ok {
		return nil, "", nixspace.Errorf(nixspace.KindUnavailable, "machine_lacks", "this machine has no files to reach")
	}
	return f, path.Clean(p), nil
}

// getFiles sends a file, or a folder as an archive.
func (h *Handler) getFiles(w http.ResponseWriter, r *http.Request) {
	f, name, err := h.files(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	format := r.URL.Query().Get("format")
	info, err := f.FileInfo(r.Context(), name)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if format == "" {
		format = "raw"
		if info.Type != "file" {
			format = "zip"
		}
	}
	send, ext, contentType := sendTar, ".tar", "application/x-tar"
	switch format {
	case "tar":
	case "tar.gz":
		send, ext, contentType = sendTarGz, ".tar.gz", "application/gzip"
	case "zip":
		send, ext, contentType = sendZip, ".zip", "application/zip"
	case "raw":
		if info.Type != "file" {
			h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "not_a_file", "%s is no file", name).WithHint("ask for it with format=zip or format=tar"))
			return
		}
		send, ext, contentType = sendRaw, "", "application/octet-stream"
	default:
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "format_unknown", "there is no format %q", format).WithHint("use raw, zip, tar or tar.gz"))
		return
	}
	archive, err := f.ReadFiles(r.Context(), name)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer archive.Close()
	w.Header().Set("Content-Type", contentType)
	// Whatever it is, it is kept as a file and never shown as a page of this server.
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": safeName(path.Base(name)) + ext}))
	if err := send(w, archive); err != nil {
		if r.Context().Err() == nil {
			h.cfg.Log.WarnContext(r.Context(), "a download broke off", "session", r.PathValue("ref"), "err", err)
		}
		panic(http.ErrAbortHandler) // the client must not take this for the whole
	}
}

// safeName is a file's name as any system can keep it.
func safeName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, s)
	s = strings.TrimLeft(strings.TrimRight(s, ". "), ".")
	if s == "" {
		return "files"
	}
	return s
}

func sendTar(w io.Writer, archive io.Reader) error {
	_, err := io.Copy(w, archive)
	return err
}

func sendTarGz(w io.Writer, archive io.Reader) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, archive); err != nil {
		return err
	}
	return z.Close()
}

// sendRaw sends the one file that an archive holds.
func sendRaw(w io.Writer, archive io.Reader) error {
	t := tar.NewReader(archive)
	head, err := t.Next()
	if err != nil {
		return err
	}
	if head.Typeflag != tar.TypeReg {
		return errors.New("it is no file any more")
	}
	if rw, ok := w.(http.ResponseWriter); ok {
		rw.Header().Set("Content-Length", fmt.Sprint(head.Size))
	}
	if _, err := io.Copy(w, t); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, archive) // its end says that it was whole
	return err
}

// putFiles unpacks an archive in a folder of a session, or puts one file there.
func (h *Handler) putFiles(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > h.cfg.MaxFiles {
		h.fail(w, r, &http.MaxBytesError{Limit: h.cfg.MaxFiles})
		return
	}
	f, dir, err := h.files(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	body := http.MaxBytesReader(w, r.Body, h.cfg.MaxFiles)
	written, err := h.writeFiles(r.Context(), f, dir, r, body)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, written)
}

func (h *Handler) writeFiles(ctx context.Context, f nixspace.Files, dir string, r *http.Request, body io.Reader) (nixspace.FilesWritten, error) {
	q := r.URL.Query()
	switch format := q.Get("format"); format {
	case "", "tar":
		return f.WriteFiles(ctx, dir, body, false)
	case "tar.zst":
		return f.WriteFiles(ctx, dir, body, true)
	case "tar.gz":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nixspace.FilesWritten{}, nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "the body is no gzip: %w", err)
		}
		return f.WriteFiles(ctx, dir, z, false)
	case "zip":
		z, free, err := h.spooled(body)
		if err != nil {
			return nixspace.FilesWritten{}, err
		}
		out, in := io.Pipe()
		unpacked := make(chan struct{})
		go func() {
			defer close(unpacked)
			_ = in.CloseWithError(zipToTar(in, z, h.cfg.MaxFiles))
		}()
		defer func() { _ = out.Close(); <-unpacked; free() }()
		return f.WriteFiles(ctx, dir, out, false)
	case "raw":
		name := q.Get("name")
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\x00\\") {
			return nixspace.FilesWritten{}, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "%q cannot name a file", name).
				WithHint("give its name, with folders before it if need be, as name=")
		}
		if r.ContentLength < 0 {
			return nixspace.FilesWritten{}, nixspace.Errorf(nixspace.KindInvalid, "length_missing", "a file is sent with its Content-Length").
				WithHint("send an archive where the length is not known")
		}
		out, in := io.Pipe()
		go func() { _ = in.CloseWithError(oneFile(in, name, r.ContentLength, body)) }()
		defer out.Close()
		return f.WriteFiles(ctx, dir, out, false)
	default:
		return nixspace.FilesWritten{}, nixspace.Errorf(nixspace.KindInvalid, "format_unknown", "there is no format %q", format).WithHint("use tar, tar.gz, tar.zst, zip or raw")
	}
}

// oneFile writes an archive with one file.
func oneFile(w io.Writer, name string, size int64, content io.Reader) error {
	t := tar.NewWriter(w)
	err := t.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Now(), Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	if n, err := io.Copy(t, content); err != nil {
		return err
	} else if n < size {
		return io.ErrUnexpectedEOF
	}
	return t.Close()
}

// listFiles says what is in a folder.
func (h *Handler) listFiles(w http.ResponseWriter, r *http.Request) {
	f, dir, err := h.files(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list, err := f.ListFiles(r.Context(), dir)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"path": dir, "files": list})
}
