package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

const dialProtocol = "nixspace.dial.v1"

// PreviewLink is the address of a port of a session.
type PreviewLink struct {
	URL  string `json:"url"`
	Open string `json:"open"` // lets a browser in, once
	Port int    `json:"port"`
}

func (c *Client) sessionURL(session, path string, q url.Values) string {
	return c.endpoint("/api/v1/sessions/"+url.PathEscape(session)+path) + "?" + q.Encode()
}

// send makes a request and reads its answer, JSON, into out.
func (c *Client) send(ctx context.Context, method, address string, body io.Reader, size int64, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	req.Header.Set("Origin", c.base.Scheme+"://"+c.base.Host) // it knows the scheme that people use
	req.ContentLength = size
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return c.readProblem(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, answerMax)).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// Preview returns the address of a port of a session.
func (c *Client) Preview(ctx context.Context, session string, port int) (PreviewLink, error) {
	body, _ := json.Marshal(map[string]any{"port": port}) // a number
	var link PreviewLink
	err := c.send(ctx, http.MethodPost, c.sessionURL(session, "/previews", nil), bytes.NewReader(body), int64(len(body)), &link)
	return link, err
}

// Code returns the address of a session's editor, which opens a file where one is
// named (as PATH, PATH:LINE or PATH:LINE:COLUMN).
func (c *Client) Code(ctx context.Context, session, file string) (PreviewLink, error) {
	path := "/"
	if file != "" {
		path += "?" + url.Values{"file": {file}}.Encode()
	}
	body, _ := json.Marshal(map[string]string{"path": path}) // a string
	var link PreviewLink
	err := c.send(ctx, http.MethodPost, c.sessionURL(session, "/code", nil), bytes.NewReader(body), int64(len(body)), &link)
	return link, err
}

// View returns the terminals of a session and the ports on which programs listen; nil
// where its machine does not run.
func (c *Client) View(ctx context.Context, session string) (*nixspace.MachineView, error) {
	var out struct {
		R *struct {
			Machine *struct {
				View struct {
					Terminals []struct {
						Name    string
						Process string
						Viewers []struct{ Key int }
					}
					Ports []nixspace.ListeningPort
				}
			}
		}
	}
	err := c.query(ctx, `query($ref:String!){r:session(ref:$ref){machine{view{terminals{name process viewers{key}} ports{port process pid}}}}}`, map[string]any{"ref": session}, &out)
	if err != nil || out.R == nil || out.R.Machine == nil {
		return nil, err
	}
	v := &nixspace.MachineView{Ports: out.R.Machine.View.Ports}
	for _, t := range out.R.Machine.View.Terminals {
		v.Terminals = append(v.Terminals, nixspace.TerminalStatus{Name: t.Name, Process: t.Process, Viewers: make([]nixspace.TerminalViewer, len(t.Viewers))})
	}
	return v, nil
}

// PutFiles unpacks a tar archive in a folder of a session.
func (c *Client) PutFiles(ctx context.Context, session, dir string, archive io.Reader) (nixspace.FilesWritten, error) {
	var w nixspace.FilesWritten
	err := c.send(ctx, http.MethodPut, c.sessionURL(session, "/files", url.Values{"path": {dir}, "format": {"tar"}}), archive, -1, &w)
	return w, err
}

// GetFiles returns a tar archive of a file or folder of a session. The caller closes
// it.
func (c *Client) GetFiles(ctx context.Context, session, path string) (io.ReadCloser, error) {
	return c.stream(ctx, c.sessionURL(session, "/files", url.Values{"path": {path}, "format": {"tar"}}))
}

// IsFolder reports whether there is a folder at a path of a session.
func (c *Client) IsFolder(ctx context.Context, session, path string) (bool, error) {
	var out struct{ Path string }
	err := c.send(ctx, http.MethodGet, c.sessionURL(session, "/list", url.Values{"path": {path}}), nil, 0, &out)
	switch nixspace.ErrorCode(err) {
	case "":
		return err == nil, err
	case "file_not_found", "file_failed":
		return false, nil
	}
	return false, err
}

// Forward joins a connection with a port of a session until both sides have ended.
func (c *Client) Forward(ctx context.Context, session string, port int, local io.ReadWriteCloser) error {
	return c.join(ctx, "/api/v1/sessions/"+url.PathEscape(session)+fmt.Sprintf("/dial/%d", port), local)
}

// SSH joins a connection of an SSH client with the server in front of a session.
func (c *Client) SSH(ctx context.Context, session string, local io.ReadWriteCloser) error {
	return c.join(ctx, "/api/v1/sessions/"+url.PathEscape(session)+"/ssh", local)
}

// SSHHostKey returns the public key of the SSH server, as files of known hosts have it.
func (c *Client) SSHHostKey(ctx context.Context) (string, error) {
	var out struct {
		HostKey string `json:"host_key"`
	}
	err := c.send(ctx, http.MethodGet, c.endpoint("/api/v1/ssh"), nil, 0, &out)
	return out.HostKey, err
}

// join copies between a connection and a socket of the server until both sides have
// ended.
func (c *Client) join(ctx context.Context, path string, local io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := c.dial(ctx, path, dialProtocol, 4*frameMax)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	defer context.AfterFunc(ctx, func() { _ = local.Close() })()
	var sender sync.WaitGroup
	defer sender.Wait()
	defer cancel()
	sender.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := local.Read(buf)
			if n > 0 && conn.Write(ctx, websocket.MessageBinary, buf[:n]) != nil {
				return
			}
			if errors.Is(err, io.EOF) {
				_ = conn.Write(ctx, websocket.MessageText, []byte("eof"))
				return
			}
			if err != nil {
				cancel()
				return
			}
		}
	})
	ended := false
	for {
		typ, b, err := conn.Read(ctx)
		switch {
		case err != nil && ended && websocket.CloseStatus(err) == websocket.StatusNormalClosure:
			return nil
		case err != nil:
			if ctx.Err() != nil {
				return nil // the local side is gone
			}
			return c.broken(ctx, err)
		case typ == websocket.MessageText:
			ended = true
			if half, ok := local.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		default:
			if _, err := local.Write(b); err != nil {
				return nil // likewise
			}
		}
	}
}
