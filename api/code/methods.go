package code

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/helper"
)

const (
	outputMax = 32 << 20 // bytes of what a command prints
	errorMax  = 64 << 10
	lineMax   = 1 << 20 // bytes of a line of the helper's
)

// params are those of all methods; each uses some.
type params struct {
	Path      string   `json:"path"`
	To        string   `json:"to"`
	Create    bool     `json:"create"`
	Overwrite bool     `json:"overwrite"`
	Recursive bool     `json:"recursive"`
	Argv      []string `json:"argv"`
	Dir       string   `json:"dir"`
	Name      string   `json:"name"`
}

// do does one request. It returns a result and bytes.
func (s *socket) do(ctx context.Context, r request, body []byte) (any, []byte, error) {
	var p params
	if len(r.Params) > 0 {
		if err := json.Unmarshal(r.Params, &p); err != nil {
			return nil, nil, failed("request_invalid", "the parameters of %q cannot be read", r.Method)
		}
	}
	switch r.Method {
	case "stat", "readdir", "read", "write", "mkdir", "delete", "rename":
		if !path.IsAbs(p.Path) || strings.Contains(p.Path+p.To, "\x00") || r.Method == "rename" && !path.IsAbs(p.To) {
			return nil, nil, failed("request_invalid", "%q is no absolute path", p.Path)
		}
	}
	switch r.Method {
	case "stat":
		st, err := s.files.stat(p.Path)
		return st, nil, err
	case "readdir":
		entries, err := s.files.list(ctx, p.Path)
		return entries, nil, err
	case "read":
		b, err := s.files.read(p.Path)
		return nil, b, err
	case "write":
		return nil, nil, s.files.write(p.Path, body, p.Create, p.Overwrite)
	case "mkdir":
		return nil, nil, s.files.client.Mkdir(p.Path)
	case "delete":
		return nil, nil, s.files.remove(p.Path, p.Recursive)
	case "rename":
		return nil, nil, s.files.rename(p.Path, p.To, p.Overwrite)
	case "exec":
		return s.exec(ctx, nixspace.Command{Argv: p.Argv, Dir: p.Dir})
	case "find":
		return s.find(ctx, r.Params)
	case "search":
		return s.search(ctx, r)
	case "watch":
		return nil, nil, s.watch(ctx, p.Path)
	case "terminal.close":
		t, ok := s.m.(nixspace.Terminals)
		if !ok {
			return nil, nil, failed("unavailable", "this machine has no terminals")
		}
		return nil, nil, t.CloseTerminal(ctx, p.Name)
	}
	return nil, nil, failed("method_unknown", "there is no method %q", r.Method)
}

type ran struct {
	Code   int    `json:"code"`
	Stderr string `json:"stderr"`
}

// exec runs a command without input to its end.
func (s *socket) exec(ctx context.Context, c nixspace.Command) (any, []byte, error) {
	if len(c.Argv) == 0 {
		return nil, nil, failed("request_invalid", "there is no command")
	}
	c.Env = map[string]string{"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
	p, err := s.m.Exec(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	_ = p.Stdin().Close()
	var errs []byte
	var reading sync.WaitGroup
	reading.Go(func() { errs, _ = most(p.Stderr(), errorMax) })
	out, large := most(p.Stdout(), outputMax)
	reading.Wait()
	code, err := p.Wait()
	if err == nil && large {
		err = failed("too_large", "%s printed more than %d MiB", c.Argv[0], outputMax>>20)
	}
	return ran{code, strings.ToValidUTF8(string(errs), "�")}, out, err
}

// most reads to the end and returns what comes before max.
func most(r io.Reader, limit int64) (b []byte, more bool) {
	b, _ = io.ReadAll(io.LimitReader(r, limit))
	n, _ := io.Copy(io.Discard, r)
	return b, n > 0
}

// lines runs the helper and calls f with each line that it prints, until f fails.
func (s *socket) lines(ctx context.Context, argv []string, f func([]byte) error) error {
	p, err := helper.Exec(ctx, s.m, nixspace.Command{Argv: argv})
	if err != nil {
		return err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	var errs []byte
	var reading sync.WaitGroup
	reading.Go(func() { errs, _ = most(p.Stderr(), errorMax) })
	defer reading.Wait()
	in := bufio.NewScanner(p.Stdout())
	in.Buffer(make([]byte, 0, 64<<10), lineMax)
	for in.Scan() {
		if err := f(in.Bytes()); err != nil {
			_ = p.Close()
			return err
		}
	}
	if err := in.Err(); err != nil && ctx.Err() == nil {
		_ = p.Close()
		return fmt.Errorf("read what the machine found: %w", err)
	}
	code, err := p.Wait()
	reading.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case code != 0:
		return failed("failed", "%s", strings.TrimPrefix(strings.TrimSpace(string(errs)), "nixspace-guest: "))
	}
	return nil
}

// find returns the files whose names match.
func (s *socket) find(ctx context.Context, query json.RawMessage) (any, []byte, error) {
	names := []string{}
	err := s.lines(ctx, []string{"find", string(query)}, func(b []byte) error {
		var batch []string
		if err := json.Unmarshal(b, &batch); err != nil {
			return fmt.Errorf("read what the machine found: %w", err)
		}
		names = append(names, batch...)
		if len(names) > entriesMax {
			return failed("too_large", "there are more than %d files", entriesMax)
		}
		return nil
	})
	return names, nil, err
}

// search sends what matches as it is found.
func (s *socket) search(ctx context.Context, r request) (any, []byte, error) {
	var end json.RawMessage
	err := s.lines(ctx, []string{"search", string(r.Params)}, func(b []byte) error {
		if !json.Valid(b) {
			return failed("failed", "the machine's answer makes no sense")
		}
		if b[0] == '{' {
			end = append(json.RawMessage(nil), b...)
			return nil
		}
		return s.send(ctx, answer{ID: r.ID, Part: append(json.RawMessage(nil), b...)}, nil)
	})
	return end, nil, err
}

// watch reports changes of files below a folder until the page is gone, or another
// folder is watched. It returns once it begins.
func (s *socket) watch(ctx context.Context, dir string) error {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	s.unwatch()
	s.mu.Lock()
	s.watching = end
	s.mu.Unlock()
	s.running.Go(func() {
		defer end()
		// A folder that cannot be watched is still edited.
		_ = s.lines(ctx, []string{"watch", dir}, func(b []byte) error {
			if !json.Valid(b) {
				return failed("failed", "the machine's answer makes no sense")
			}
			return s.send(ctx, answer{Event: "files", Data: append(json.RawMessage(nil), b...)}, nil)
		})
	})
	return nil
}

// unwatch ends what watch began.
func (s *socket) unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching != nil {
		s.watching()
		s.watching = nil
	}
}
