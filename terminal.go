package nixspace

import (
	"context"
	"time"
)

// TerminalRequest asks for a terminal of a machine. Terminals have names and belong
// to the machine: they outlive whoever looks at them.
type TerminalRequest struct {
	// Name is 1 to 32 letters, digits, '.', '_' and '-', beginning with a letter or
	// a digit.
	Name string `json:"name"`
	// Viewer is a random name of whoever attaches, at most 64 bytes. Who comes back
	// with the same one goes on with its input where it was, and ends what is left of
	// its last connection.
	Viewer string `json:"viewer"`
	Who    string `json:"who,omitempty"` // what others see of the viewer
	// ID is the terminal that the viewer has seen last, and From the offset of the
	// first byte of output that it has not. Without an ID, or when the terminal is
	// another one, it gets what is kept of the output.
	ID       string `json:"id,omitempty"`
	From     int64  `json:"from,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"` // it cannot type, and its size does not count
	Cols     uint16 `json:"cols,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`
	// Command runs on the terminal where there is none of that name. When it has no
	// Argv the attachment fails instead, with code "terminal_not_found".
	Command Command `json:"command"`
}

// TerminalAttached says how a viewer was attached.
type TerminalAttached struct {
	ID   string `json:"id"`   // names the terminal; a new one of the same name has another
	From int64  `json:"from"` // the offset of the first byte that follows
	// Reset says that what follows does not continue what the viewer has seen: it
	// clears its screen, and writes Prelude first.
	Reset   bool   `json:"reset,omitempty"`
	Prelude string `json:"prelude,omitempty"` // sets the modes that what follows relies on
	Taken   int64  `json:"taken"`             // how many bytes of the viewer's input have arrived, ever
	Key     int    `json:"key"`               // which of the status's viewers it is
	Created bool   `json:"created,omitempty"` // the terminal did not exist before
}

// TerminalStatus is what goes on at a terminal.
type TerminalStatus struct {
	Name      string           `json:"name"`
	ID        string           `json:"id"`
	Cols      uint16           `json:"cols"` // the smallest of the viewers' that may type
	Rows      uint16           `json:"rows"`
	Process   string           `json:"process,omitempty"` // what runs in the foreground
	StartedAt time.Time        `json:"started_at"`
	Viewers   []TerminalViewer `json:"viewers"`
}

// TerminalViewer is somebody who looks at a terminal.
type TerminalViewer struct {
	Key      int    `json:"key"`
	Who      string `json:"who,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Cols     uint16 `json:"cols,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`
}

// TerminalEvent is something that happens at a terminal: of the fields after
// Kind, those that the kind names have a meaning.
type TerminalEvent struct {
	Kind   TerminalEventKind
	Offset int64
	Data   []byte // good until the next event
	Status TerminalStatus
	Code   int
}

// TerminalEventKind says what happened.
type TerminalEventKind int

// The kinds of events.
const (
	TerminalOutput  TerminalEventKind = iota + 1 // Data was written, at Offset
	TerminalSkipped                              // the viewer was too slow: output goes on at Offset, on a cleared screen
	TerminalTaken                                // the first Offset bytes of the viewer's input are on the terminal
	TerminalChanged                              // Status is another now
	TerminalEnded                                // the program ended with Code, after all its output; the last event
)

// Terminal is a viewer's end of a terminal. One goroutine may wait for events while
// others call the other methods.
type Terminal interface {
	// Attached says how the viewer was attached.
	Attached() TerminalAttached
	// Next waits for what happens next. It fails when the machine, or the
	// attachment, went away.
	Next() (TerminalEvent, error)
	// Write types. It may wait while a program does not read.
	Write(p []byte) (int, error)
	// Resize says how large the viewer's screen is.
	Resize(cols, rows uint16) error
	// Ack says that the viewer has shown all output before offset. Only so much
	// output is on its way that was not acknowledged; then the viewer's share waits.
	Ack(offset int64) error
	// Close detaches the viewer. The terminal goes on.
	Close() error
}

// Terminals is a [Machine] with terminals that outlive those who look at them.
type Terminals interface {
	// AttachTerminal attaches a viewer to a terminal.
	AttachTerminal(ctx context.Context, r TerminalRequest) (Terminal, error)
	// CloseTerminal ends what runs on a terminal. It fails with code
	// "terminal_not_found" where there is none of that name.
	CloseTerminal(ctx context.Context, name string) error
}

// ListeningPort is a TCP port of a machine on which a program listens, where
// [Machine.Dial] reaches it.
type ListeningPort struct {
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"` // the program's name, where it is known
	PID     int    `json:"pid,omitempty"`     // in the guest
}

// MachineView is what can be seen of a machine's inside while it runs.
type MachineView struct {
	Terminals []TerminalStatus `json:"terminals,omitempty"` // by name
	Ports     []ListeningPort  `json:"ports,omitempty"`     // by number
}
