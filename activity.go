package nixspace

import "time"

// ActivityKind is what was done in a session, as far as it counts as work in it.
type ActivityKind string

// The kinds of activity. What goes on in a machine by itself is none: nobody looks.
const (
	ActivityTerminal   ActivityKind = "terminal"   // as long as it is open
	ActivityCommand    ActivityKind = "command"    // as long as it runs
	ActivityConnection ActivityKind = "connection" // to a port, a preview too, as long as it is open
	ActivityFiles      ActivityKind = "files"      // a copy of files
	ActivityStart      ActivityKind = "start"      // a start or resume
)

// Activity is one kind of work in a session.
type Activity struct {
	Kind ActivityKind
	Open int       // how much of it goes on now
	Last time.Time // when any of it began or ended last
}
