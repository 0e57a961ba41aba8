package sessions

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
)

// What a machine can do beyond the least is counted as work in it too.
var (
	_ nixspace.Terminals = activeMachine{}
	_ nixspace.Files     = activeMachine{}
)

// lacking is the error of a machine that cannot do what it is asked for.
func lacking(what string) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "machine_lacks", "machines of this kind have no %s", what)
}

// AttachTerminal implements nixspace.Terminals.
func (m activeMachine) AttachTerminal(ctx context.Context, r nixspace.TerminalRequest) (nixspace.Terminal, error) {
	host, ok := m.Machine.(nixspace.Terminals)
	if !ok {
		return nil, lacking("terminals that last")
	}
	command, end := m.begin(ctx, nixspace.ActivityTerminal, r.Command)
	r.Command = command
	t, err := host.AttachTerminal(ctx, r)
	if err != nil {
		end()
		return nil, err
	}
	return activeTerminal{t, end}, nil
}

// CloseTerminal implements nixspace.Terminals.
func (m activeMachine) CloseTerminal(ctx context.Context, name string) error {
	host, ok := m.Machine.(nixspace.Terminals)
	if !ok {
		return lacking("terminals that last")
	}
	return host.CloseTerminal(ctx, name)
}

// WriteFiles implements nixspace.Files.
func (m activeMachine) WriteFiles(ctx context.Context, dir string, archive io.Reader, zstd bool) (nixspace.FilesWritten, error) {
	host, ok := m.Machine.(nixspace.Files)
	if !ok {
		return nixspace.FilesWritten{}, lacking("files")
	}
	defer m.activity.begin(m.id, nixspace.ActivityFiles)()
	return host.WriteFiles(ctx, dir, archive, zstd)
}

// ReadFiles implements nixspace.Files.
func (m activeMachine) ReadFiles(ctx context.Context, path string) (io.ReadCloser, error) {
	host, ok := m.Machine.(nixspace.Files)
	if !ok {
		return nil, lacking("files")
	}
	end := m.activity.begin(m.id, nixspace.ActivityFiles)
	r, err := host.ReadFiles(ctx, path)
	if err != nil {
		end()
		return nil, err
	}
	return activeReader{r, end}, nil
}

// FileInfo implements nixspace.Files.
func (m activeMachine) FileInfo(ctx context.Context, path string) (nixspace.FileInfo, error) {
	host, ok := m.Machine.(nixspace.Files)
	if !ok {
		return nixspace.FileInfo{}, lacking("files")
	}
	return host.FileInfo(ctx, path)
}

// ListFiles implements nixspace.Files.
func (m activeMachine) ListFiles(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	host, ok := m.Machine.(nixspace.Files)
	if !ok {
		return nil, lacking("files")
	}
	return host.ListFiles(ctx, dir)
}

type activeTerminal struct {
	nixspace.Terminal
	end func()
}

// Close implements nixspace.Terminal.
func (t activeTerminal) Close() error {
	defer t.end()
	return t.Terminal.Close()
}

type activeReader struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (r activeReader) Close() error {
	defer r.end()
	return r.ReadCloser.Close()
}

// CloseTerminal ends what runs on a terminal of a session. It does not wake a
// session that is hibernated.
func (a *UseCases) CloseTerminal(ctx context.Context, session, name string) error {
	s, err := a.Session(ctx, session)
	if err != nil {
		return err
	}
	if s.Status != nixspace.SessionRunning {
		return notRunning(s)
	}
	m, err := a.Machine(ctx, string(s.ID))
	if err != nil {
		return err
	}
	return m.(nixspace.Terminals).CloseTerminal(ctx, name)
}
