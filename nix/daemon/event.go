package daemon

import "fmt"

// ActivityType says what an activity does (Nix: ActivityType in logging.hh).
type ActivityType uint64

// The activities that are of use to somebody who waits. There are more.
const (
	ActCopyPath     ActivityType = 100 // fields: path, from, to
	ActFileTransfer ActivityType = 101 // fields: URL
	ActRealise      ActivityType = 102
	ActCopyPaths    ActivityType = 103
	ActBuilds       ActivityType = 104
	ActBuild        ActivityType = 105 // fields: derivation path, machine…
	ActSubstitute   ActivityType = 108 // fields: path, substituter
	ActBuildWaiting ActivityType = 111
)

// ResultType says what news about an activity means (Nix: ResultType in
// logging.hh).
type ResultType uint64

// The results that are of use. There are more.
const (
	ResBuildLogLine ResultType = 101 // fields: the line
	ResSetPhase     ResultType = 104 // fields: the phase
	ResProgress     ResultType = 105 // fields: done, expected, running, failed
	ResSetExpected  ResultType = 106 // fields: activity type, expected
	ResPostBuildLog ResultType = 107
)

// EventKind says what an [Event] is.
type EventKind int

// The kinds of events.
const (
	EventMessage EventKind = iota // the daemon says something: Text
	EventStart                    // an activity begins: Activity, Type, Parent, Text, Fields
	EventResult                   // news about an activity: Activity, Result, Fields
	EventStop                     // an activity ended: Activity
)

// Event is what the daemon tells while it works.
type Event struct {
	Kind     EventKind
	Activity uint64
	Parent   uint64
	Type     ActivityType
	Result   ResultType
	Level    uint64
	Text     string // without terminal colours
	Fields   []Field
}

// Field is an integer or a string that belongs to an [Event].
type Field struct {
	Int      uint64
	Str      string
	IsString bool
}

// String returns the field's string, or nothing if it is none.
func (e *Event) String(i int) string {
	if i < len(e.Fields) && e.Fields[i].IsString {
		return Plain(e.Fields[i].Str)
	}
	return ""
}

// Int returns the field's number, or 0 if it is none.
func (e *Event) Int(i int) uint64 {
	if i < len(e.Fields) && !e.Fields[i].IsString {
		return e.Fields[i].Int
	}
	return 0
}

// The messages that a daemon sends while it works on a request (Nix:
// worker-protocol.hh, remote-store.cc ConnectionHandle::processStderr).
const (
	stderrLast     = 0x616c7473
	stderrNext     = 0x6f6c6d67
	stderrError    = 0x63787470
	stderrStart    = 0x53545254
	stderrStop     = 0x53544f50
	stderrResult   = 0x52534c54
	stderrReadData = 0x64617461 // only asked for by requests that are not used here
	stderrWrite    = 0x64617416 // likewise
)

// messages reads a daemon's messages up to the one that says that the reply
// follows, or that the request failed: it then returns an *Error. Any other
// failure is in r.err.
func (r *reader) messages(on func(Event)) *Error {
	for r.err == nil {
		switch m := r.u64(); m {
		case stderrLast:
			return nil
		case stderrNext:
			emit(r, on, Event{Kind: EventMessage, Text: Plain(r.str())})
		case stderrError:
			return r.daemonError()
		case stderrStart:
			e := Event{Kind: EventStart, Activity: r.u64(), Level: r.u64(), Type: ActivityType(r.u64())}
			e.Text = Plain(r.str())
			e.Fields = r.fields()
			e.Parent = r.u64()
			emit(r, on, e)
		case stderrStop:
			emit(r, on, Event{Kind: EventStop, Activity: r.u64()})
		case stderrResult:
			e := Event{Kind: EventResult, Activity: r.u64(), Result: ResultType(r.u64())}
			e.Fields = r.fields()
			emit(r, on, e)
		case stderrReadData, stderrWrite:
			r.fail(fmt.Errorf("message %#x is not part of this request", m))
		default:
			r.fail(fmt.Errorf("unknown message %#x", m))
		}
	}
	return nil
}

func emit(r *reader, on func(Event), e Event) {
	if on != nil && r.err == nil {
		on(e)
	}
}

func (r *reader) fields() []Field {
	n := r.count()
	var out []Field
	for i := 0; i < n && r.err == nil; i++ {
		switch t := r.u64(); t {
		case 0:
			out = append(out, Field{Int: r.u64()})
		case 1:
			out = append(out, Field{Str: r.str(), IsString: true})
		default:
			r.fail(fmt.Errorf("unknown kind of field %d", t))
		}
	}
	return out
}

// daemonError reads an error as it is sent since protocol 1.26 (Nix: readError in
// serialise.cc): a kind, a level, a name, the message, a position, the traces.
func (r *reader) daemonError() *Error {
	if kind := r.str(); r.err == nil && kind != "Error" {
		r.fail(fmt.Errorf("unknown kind of error %.40q", kind))
	}
	r.u64()
	r.str()
	e := &Error{Message: Plain(r.str())}
	if r.bool() {
		r.fail(fmt.Errorf("an error has a position, which the protocol does not define"))
	}
	n := r.count()
	for i := 0; i < n && r.err == nil; i++ {
		if r.bool() {
			r.fail(fmt.Errorf("an error's trace has a position, which the protocol does not define"))
		}
		e.Traces = append(e.Traces, Plain(r.str()))
	}
	if r.err != nil {
		return nil //nolint:nilerr // r keeps the error
	}
	return e
}
