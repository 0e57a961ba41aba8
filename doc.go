// Package nixspace is the domain of NixSpace: development environments that
// branch as easily as code.
//
// A [Project] is one code base. It holds [Environment] values, which are
// movable branches; every change to one makes an immutable [Version], as a
// commit does in git. The Nix closure of a version is its [Realisation], and a
// running machine of it is a [Session].
//
// This package holds types, rules, error codes and small interfaces. It imports
// only the standard library, does no I/O and reads no clock. The packages around
// it each answer one question: env (what an environment is), nix (where its
// packages come from), vm (where it runs), state (what is remembered) and api
// (who gets in, and how). They meet in app, and nowhere else.
package nixspace
