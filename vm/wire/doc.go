// Package wire is the protocol between a host and the agent in a guest: its
// framing, its messages, the host's side ([Link], [Client]) and the small helpers
// that the guest's side needs ([Accept], [Reply], [Fail]).
//
// A transport carries any number of streams. On each, the host sends one
// [Header] that names a service; the guest sends one [Answer]; what follows are
// frames ([FrameReader], [FrameWriter]) whose meaning depends on the service.
// Nothing depends on a half-close of the transport, so a stream may be relayed
// through anything that carries bytes both ways.
//
// The two sides do not trust each other: every length is bounded before memory
// is reserved for it, and bytes that do not fit the protocol end the stream, not
// the program. docs/wire-protocol.md describes the protocol in full.
package wire

// Version is the newest version of the protocol that this package speaks. There
// is no older one.
const Version = 1

// The bounds of the protocol, in bytes.
const (
	MaxHeader = 1 << 20  // a request with its header: services carry whole configuration files
	MaxAnswer = 64 << 10 // an answer
	MaxFrame  = 64 << 10 // the payload of one frame
	MaxLine   = 128      // a line on the control port, with its end

	// InWindow is how much input of a process may be on its way: sent by the host
	// and not yet taken by the process, as [FrameCredit] tells.
	InWindow = 256 << 10
)

// The names of the virtio-serial ports, as the guest finds them in
// /sys/class/virtio-ports/*/name.
const (
	PortData = "nixspace.data"
	PortCtl  = "nixspace.ctl"
)

// The services of an agent: what a [Header] asks for.
const (
	ServicePing     = "ping"
	ServiceMount    = "configure.mount"
	ServiceIdentity = "configure.identity"
	ServicePrepare  = "configure.prepare"
	ServiceSync     = "sync"
	ServiceExec     = "exec"
	ServicePut      = "files.put"
	ServiceGet      = "files.get"
	ServiceStat     = "files.stat"
	ServiceList     = "files.list"
	ServiceDial     = "dial"
	ServiceStart    = "services.start"
	ServiceWatch    = "services.watch"
	ServiceControl  = "services.control"
	ServiceEgress   = "egress.accept"
	ServiceLogs     = "logs"
	ServiceTime     = "time"
	ServiceTerminal = "terminal.attach"
	ServiceHangUp   = "terminal.close"
	ServiceView     = "view"
	ServiceShutdown = "shutdown"
)
