package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nixspace/nixspace"
)

// Put unpacks a tar archive in the guest, as the user dev, and returns once all
// of it is there and on disk. With Once, an archive that is there already is not
// read: the result is then zero. Members of the archive that would leave the
// directory fail the whole call with code "archive_invalid".
func (c *Client) Put(ctx context.Context, r PutRequest, archive io.Reader) (nixspace.FilesWritten, error) {
	var answer PutAnswer
	conn, err := c.start(ctx, ServicePut, r, &answer)
	if err != nil {
		return nixspace.FilesWritten{}, err
	}
	defer func() { _ = conn.Close() }()
	if answer.Skip {
		return nixspace.FilesWritten{}, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	// The guest may give up in the middle; it says why, and takes nothing more.
	sent := make(chan error, 1)
	go func() { sent <- sendArchive(conn, archive) }()
	result, resultErr := putResult(NewFrameReader(conn))
	if resultErr != nil {
		_ = conn.Close()
	}
	sendErr := <-sent
	var source *sourceError
	switch {
	case ctx.Err() != nil:
		return nixspace.FilesWritten{}, ctx.Err()
	case errors.As(sendErr, &source):
		return nixspace.FilesWritten{}, source
	case resultErr != nil:
		return nixspace.FilesWritten{}, known(resultErr)
	case sendErr != nil:
		return nixspace.FilesWritten{}, known(sendErr)
	}
	return result, nil
}

// sourceError is a failure to read what should be sent.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return fmt.Sprintf("read archive: %v", e.err) }
func (e *sourceError) Unwrap() error { return e.err }

func sendArchive(conn io.WriteCloser, archive io.Reader) error {
	w := NewFrameWriter(conn)
	buf := make([]byte, MaxFrame)
	for {
		n, err := archive.Read(buf)
		if n > 0 {
			if err := w.Write(FrameIn, buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return w.Write(FrameInEOF, nil)
		}
		if err != nil {
			// Without an end of the archive the guest must not take it as whole.
			_ = conn.Close()
			return &sourceError{err}
		}
	}
}

func putResult(frames *FrameReader) (nixspace.FilesWritten, error) {
	var r nixspace.FilesWritten
	t, p, err := frames.Next()
	if err != nil {
		return r, err
	}
	switch t {
	case FrameResult:
		if err := json.Unmarshal(p, &r); err != nil {
			return r, protocolError("the result of an archive cannot be read: %w", err)
		}
		return r, nil
	case FrameError:
		return r, DecodeError(p)
	}
	return r, protocolError("unexpected frame of type %d", t)
}

// Get returns a tar archive of a file or directory in the guest, read as the
// user dev. It ends with io.EOF only when the archive is whole. Closing it frees
// the stream; when ctx ends, it fails.
func (c *Client) Get(ctx context.Context, r GetRequest) (io.ReadCloser, error) {
	conn, err := c.start(ctx, ServiceGet, r, nil)
	if err != nil {
		return nil, err
	}
	return newFrameStreamReader(ctx, conn), nil
}

// Stat describes a file in the guest. It fails with code "file_not_found" when
// there is none.
func (c *Client) Stat(ctx context.Context, path string) (nixspace.FileInfo, error) {
	var f nixspace.FileInfo
	err := c.call(ctx, ServiceStat, StatRequest{Path: path}, &f)
	return f, err
}

// List describes what is in a directory of the guest, by name.
func (c *Client) List(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	conn, err := c.start(ctx, ServiceList, ListRequest{Dir: dir}, nil)
	if err != nil {
		return nil, err
	}
	r := newFrameStreamReader(ctx, conn)
	defer func() { _ = r.Close() }()
	// A name has 255 bytes, each of which may be six in JSON.
	dec := json.NewDecoder(io.LimitReader(r, 2<<10*ListMax))
	list := []nixspace.FileInfo{}
	for len(list) <= ListMax {
		var f nixspace.FileInfo
		if err := dec.Decode(&f); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, known(err)
		}
		list = append(list, f)
	}
	return nil, protocolError("a directory has more files than are listed")
}
