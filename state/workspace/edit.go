package workspace

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"time"

	"github.com/nixspace/nixspace"
)

// WithFile stores an archive that is equal to another one but for one file, and
// returns its digest. An empty digest stands for no code. It fails with kind
// not_found where there is no such archive.
func (s *Store) WithFile(ctx context.Context, digest, name string, content []byte) (nixspace.Workspace, error) {
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := s.writeWith(ctx, w, digest, name, content)
		w.CloseWithError(err)
		wrote <- err
	}()
	ws, err := s.Put(ctx, r)
	_ = r.CloseWithError(io.ErrClosedPipe) // where Put has refused it
	if werr := <-wrote; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		return nixspace.Workspace{}, werr
	}
	return ws, err
}

func (s *Store) writeWith(ctx context.Context, w io.Writer, digest, name string, content []byte) error {
	out := tar.NewWriter(w)
	if digest != "" {
		p, err := s.Path(digest)
		if err != nil {
			return err
		}
		if _, err := readStored(ctx, p, func(r io.Reader) (int64, error) { return 0, copyWithout(out, tar.NewReader(r), name) }); err != nil {
			return err
		}
	}
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644, ModTime: time.Unix(1, 0), Format: tar.FormatPAX}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.Copy(out, bytes.NewReader(content)); err != nil {
		return err
	}
	return out.Close()
}

func copyWithout(out *tar.Writer, in *tar.Reader, name string) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if path.Clean(h.Name) == name {
			continue
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
