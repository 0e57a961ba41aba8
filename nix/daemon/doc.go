// Package daemon is a client of the Nix daemon: it speaks Nix's worker protocol
// over a unix socket, so that asking the store something costs well below a
// millisecond instead of the start of a process.
//
// The protocol has no specification apart from Nix's own sources. What is here
// follows src/libstore/worker-protocol.hh, remote-store.cc, daemon.cc and
// src/libutil/logging.hh of Nix 2.8 (protocol 1.34) and of its successors up to
// 2.34 (which offer 1.38). The client speaks 1.34 and 1.35: a newer daemon
// answers in the version that the client names.
//
// Everything that a daemon sends is bounded and checked: a daemon that sends
// nonsense causes a [ProtocolError], never a panic or an allocation of its
// choosing.
package daemon
