package wire

import (
	"time"

	"github.com/nixspace/nixspace"
)

// Pong is the answer to [ServicePing].
type Pong struct {
	Version int           `json:"version"` // of the protocol
	Epoch   uint64        `json:"epoch"`   // see [IdentityRequest]; 0 before it
	Uptime  time.Duration `json:"uptime"`  // nanoseconds since the guest's start
}

// MountRequest is the request of [ServiceMount], the first stage of a guest's
// configuration. Devices are named by their virtio-blk serials.
type MountRequest struct {
	// Layers are EROFS images, each of which holds store paths at its root. All of
	// them together are the guest's /nix/store.
	Layers []string `json:"layers"`
	// Disk is the session's ext4 disk, formatted already.
	Disk string `json:"disk"`
}

// IdentityRequest is the request of [ServiceIdentity]: what makes this machine
// another than the one that it was copied from. It may be sent again.
type IdentityRequest struct {
	Hostname  string `json:"hostname"`
	MachineID string `json:"machine_id"` // 32 lower-case hexadecimal digits
	Epoch     uint64 `json:"epoch"`      // random; the guest says it in [Pong]
	UnixNano  int64  `json:"unix_nano"`  // the time now; 0 leaves the guest's clock
	Entropy   []byte `json:"entropy"`    // for the kernel's random number generator; 32 bytes or more
	// Restored says that the machine goes on from a snapshot: the workspace's hook
	// runs at last. When it fails, the request does, with code "hook_failed".
	Restored bool `json:"restored,omitempty"`
}

// PrepareRequest is the request of [ServicePrepare]: what programs in the guest
// find around them. It may be sent again.
type PrepareRequest struct {
	Base        string            `json:"base"`        // store path of the base system
	Environment string            `json:"environment"` // store path of the environment
	Env         map[string]string `json:"env,omitempty"`
	// Proxy is the port on 127.0.0.1 where the guest offers the way out that the
	// host serves by [ServiceEgress]; 0 for none.
	Proxy int `json:"proxy,omitempty"`
}

// Compression says how an archive is compressed.
type Compression string

// The compressions of an archive.
const (
	Plain Compression = ""
	Zstd  Compression = "zstd"
)

// PutRequest is the request of [ServicePut]: to unpack the tar archive that
// follows.
type PutRequest struct {
	Dir         string      `json:"dir"` // absolute; made when it is missing
	Compression Compression `json:"compression,omitempty"`
	// Once names this archive. The guest remembers on its disk that it was
	// unpacked whole, and does not take it again. Letters, digits, '-' and '_';
	// empty for an archive that is always taken.
	Once string `json:"once,omitempty"`
}

// PutAnswer is the answer to a [PutRequest], before the archive.
type PutAnswer struct {
	Skip bool `json:"skip,omitempty"` // it is there already: nothing must follow
}

// GetRequest is the request of [ServiceGet]: a tar archive of a file or, with all
// that is under it, a directory. Names in the archive begin with the last part of
// Path.
type GetRequest struct {
	Path        string      `json:"path"` // absolute
	Compression Compression `json:"compression,omitempty"`
}

// StatRequest is the request of [ServiceStat].
type StatRequest struct {
	Path string `json:"path"` // absolute
}

// ListRequest is the request of [ServiceList].
type ListRequest struct {
	Dir string `json:"dir"` // absolute
}

// ListMax is how many files of a directory are listed.
const ListMax = 10_000

// DialRequest is the request of [ServiceDial].
type DialRequest struct {
	Port int `json:"port"` // TCP, on 127.0.0.1
}

// StartRequest is the request of [ServiceStart]. To start the services that run
// already is no error: the answer then follows them.
type StartRequest struct {
	Services []nixspace.Service `json:"services"`
	// ReadyTimeout bounds the time that each service has until it is first ready,
	// Init and After included; 6 minutes when 0.
	ReadyTimeout time.Duration `json:"ready_timeout,omitempty"`
}

// ControlRequest is the request of [ServiceControl]: to start, stop or restart one
// service. The states of all services follow, and a result once it is ready, done
// or stopped.
type ControlRequest struct {
	Name   string                 `json:"name"`
	Action nixspace.ServiceAction `json:"action"`
}

// EgressRequest is the answer to [ServiceEgress], once a program in the guest wants
// a connection out. The host then says by a frame whether it is made
// ([FrameResult], or [FrameError] with the reason), and the two directions follow
// as for [ServiceDial].
type EgressRequest struct {
	Host string `json:"host"` // a name or address, as the program gave it: up to 255 bytes
	Port int    `json:"port"`
}

// LogsRequest is the request of [ServiceLogs].
type LogsRequest struct {
	Service string `json:"service"` // empty for the agent's own log
	Follow  bool   `json:"follow,omitempty"`
}

// TimeRequest is the request of [ServiceTime].
type TimeRequest struct {
	UnixNano int64 `json:"unix_nano"` // sets the guest's clock; 0 only asks
}

// TimeAnswer is the answer to a [TimeRequest].
type TimeAnswer struct {
	UnixNano int64 `json:"unix_nano"` // the guest's clock, afterwards
}

// ShutdownRequest is the request of [ServiceShutdown]. The guest answers when
// its services have ended and its disk is unmounted, and then powers off.
type ShutdownRequest struct {
	Timeout time.Duration `json:"timeout,omitempty"` // for the services, then they are killed; 20 s when 0
}
