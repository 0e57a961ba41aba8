package client

import (
	"time"

	"github.com/nixspace/nixspace"
)

// The types below are what the server says, by the names of the GraphQL schema.
// The command line prints them under the same names with --json; states are in
// lower case.

// Workspace is a stored archive of code.
type Workspace struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Files  int    `json:"files"`
}

// Project is one code base.
type Project struct {
	ID        nixspace.ID `json:"id"`
	Slug      string      `json:"slug"`
	Source    string      `json:"source"`
	Workspace string      `json:"workspace"`
	CreatedAt time.Time   `json:"createdAt"`
}

// Environment is a movable branch in a project.
type Environment struct {
	ID        nixspace.ID `json:"id"`
	Ref       string      `json:"ref"`
	Name      string      `json:"name"`
	Project   string      `json:"projectSlug"`
	Parent    *Named      `json:"parent"`
	Hash      string      `json:"hash"`
	Head      Version     `json:"head"`
	Protected bool        `json:"protected"`
	CreatedAt time.Time   `json:"createdAt"`
	UpdatedAt time.Time   `json:"updatedAt"`
	DeletedAt *time.Time  `json:"deletedAt"`
}

// Named is something of which only the name is asked.
type Named struct {
	Ref string `json:"ref"`
}

// Version is one immutable commit of an environment.
type Version struct {
	ID           nixspace.ID       `json:"id"`
	Hash         string            `json:"hash"`
	Parents      []string          `json:"parents"`
	Seq          int64             `json:"seq"`
	ManifestHash string            `json:"manifestHash"`
	Manifest     string            `json:"manifest,omitempty"`
	Flake        string            `json:"flake,omitempty"`
	FlakeLock    string            `json:"flakeLock,omitempty"`
	Message      string            `json:"message"`
	Author       string            `json:"author"`
	CreatedAt    time.Time         `json:"createdAt"`
	Changes      []Change          `json:"changes"`
	Packages     []ResolvedPackage `json:"packages"`
	Environment  *Named            `json:"environment,omitempty"`
	Realisation  *Realisation      `json:"realisation"`
}

// Change is one difference against the version before.
type Change struct {
	Op   lower  `json:"op"` // "add", "remove", "set"
	Path string `json:"path"`
	From string `json:"from"`
	To   string `json:"to"`
}

// ResolvedPackage is a package of a version.
type ResolvedPackage struct {
	Name       string `json:"name"`
	Constraint string `json:"constraint"`
	Attr       string `json:"attr"`
	Version    string `json:"version"`
	StorePath  string `json:"storePath"`
}

// Realisation is the proof that a version was built.
type Realisation struct {
	DrvPath       string    `json:"drvPath"`
	OutPath       string    `json:"outPath"`
	ClosureDigest string    `json:"closureDigest"`
	ClosureSize   int64     `json:"closureSize"`
	Paths         int       `json:"paths"`
	RealisedAt    time.Time `json:"realisedAt"`
}

// Build is one attempt to realise a version.
type Build struct {
	ID         nixspace.ID `json:"id"`
	Status     lower       `json:"status"` // see [nixspace.BuildStatus]
	Error      string      `json:"error"`
	ErrorCode  string      `json:"errorCode"`
	CreatedAt  time.Time   `json:"createdAt"`
	StartedAt  *time.Time  `json:"startedAt"`
	FinishedAt *time.Time  `json:"finishedAt"`
}

// Is reports whether the build has the status.
func (b *Build) Is(s nixspace.BuildStatus) bool { return string(b.Status) == string(s) }

// Final reports whether the build's status can no longer change.
func (b *Build) Final() bool { return nixspace.BuildStatus(b.Status).Final() }

// LogLine is one line of a build's log.
type LogLine struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// BuildUpdate is one piece of news about a build.
type BuildUpdate struct {
	Build    *Build             `json:"build"`
	Progress *nixspace.Progress `json:"progress"`
	Line     *LogLine           `json:"line"`
}

// Activity is one kind of work in a session.
type Activity struct {
	Kind string    `json:"kind"`
	Open int       `json:"open"`
	Last time.Time `json:"last"`
}

// Session is a machine of one version.
type Session struct {
	ID     nixspace.ID `json:"id"`
	Ref    string      `json:"ref"`
	Number int         `json:"number"`
	// Activity and HibernateAfter, in seconds, are known of a single session only.
	Activity       []Activity     `json:"activity"`
	HibernateAfter *int           `json:"hibernateAfter"`
	Environment    string         `json:"environmentRef"`
	Version        *Version       `json:"version,omitempty"`
	Status         lower          `json:"status"` // see [nixspace.SessionStatus]
	Reason         string         `json:"reason"`
	ReasonCode     string         `json:"reasonCode"`
	Driver         string         `json:"driver"`
	Isolation      string         `json:"isolation"`
	Ephemeral      bool           `json:"ephemeral"`
	Throwaway      bool           `json:"throwaway"`
	Resuming       bool           `json:"resuming"`
	ForkOf         *Identified    `json:"forkOf,omitempty"`
	Snapshot       *Began         `json:"snapshot,omitempty"`
	Prebuilt       *BeganPrebuilt `json:"prebuilt,omitempty"`
	StartedAt      *time.Time     `json:"startedAt"`
	LastActivity   *time.Time     `json:"lastActivity"`
	EndedAt        *time.Time     `json:"endedAt"`
	Machine        *Machine       `json:"machine,omitempty"`
}

// Ended reports whether the session is stopped or failed.
func (s *Session) Ended() bool {
	return s.Is(nixspace.SessionStopped) || s.Is(nixspace.SessionFailed)
}

// Is reports whether the session has the status.
func (s *Session) Is(st nixspace.SessionStatus) bool { return string(s.Status) == string(st) }

// Machine is what a session's machine says.
type Machine struct {
	Status    lower     `json:"status"`
	Phase     string    `json:"phase"`
	Isolation string    `json:"isolation"`
	Start     string    `json:"start"`    // "boot", "template", "resume", "snapshot"
	Fallback  string    `json:"fallback"` // why it booted although a snapshot was wanted
	Layers    []Layer   `json:"layers"`
	Services  []Service `json:"services"`
	Egress    *Egress   `json:"egress"` // nil where it may reach nothing
	// Usage is what it takes of the host; nil where no machine runs, and where only
	// news of the session was asked for.
	Usage *MachineUsage `json:"usage,omitempty"`
}

// MachineUsage is what a machine takes of its host.
type MachineUsage struct {
	CPUSeconds float64 `json:"cpuSeconds"` // of its process, since it came up
	Memory     int64   `json:"memory"`     // bytes
}

// Layer is a part of a machine's store.
type Layer struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Service is how one service stands.
type Service struct {
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Restarts int        `json:"restarts"`
	Message  string     `json:"message"`
	ExitCode *int       `json:"exitCode"` // nil where it never ended by itself
	Ports    []int      `json:"ports"`
	Since    *time.Time `json:"since"`
}

// SessionUpdate is a session and its machine as they stand now.
type SessionUpdate struct {
	Session  Session            `json:"session"`
	Machine  *Machine           `json:"machine"`
	Progress *nixspace.Progress `json:"progress"`
}

// Package is a package that the source offers.
type Package struct {
	Attr        string `json:"attr"`
	Family      string `json:"family"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Default     bool   `json:"default"`
	Download    int64  `json:"download"`
	Present     bool   `json:"present"`
}

// Edit is one change that somebody asks for.
type Edit struct {
	Op    string `json:"op"` // "ADD", "REMOVE", "SET"
	Key   string `json:"key"`
	Value string `json:"value"`
}
