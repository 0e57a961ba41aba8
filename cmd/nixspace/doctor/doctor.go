// Package doctor checks whether a machine has what NixSpace needs, and says what
// to do where it has not.
package doctor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// Status is how grave a finding is.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, with less
	Fail Status = "fail" // it does not work
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"` // "postgresql"
	Status Status `json:"status"`
	Detail string `json:"detail"`         // what is there, or what is wrong
	Hint   string `json:"hint,omitempty"` // what to do about it
}

// Config says what to check.
type Config struct {
	State string // the state directory; it need not exist
	PGBin string // see the flag --pg-bin
	Accel string // see the flag --accel
}

// checkLimit is how long one check may take. Nix may have to start a build.
const checkLimit = 2 * time.Minute

// check looks at one thing. An error is a finding of status [Fail].
type check struct {
	name string
	run  func(context.Context, Config) (Finding, error)
}

// checks in the order in which they are shown.
func checks() []check {
	return []check{
		{"nix", checkNix},
		{"postgresql", checkPostgres},
		{"flakes", checkFlakes},
		{"qemu", checkQEMU},
		{"kernel", checkKernel},
		{"tools", checkTools},
		{"git", checkGit},
		{"loop devices", checkLoop},
		{"cgroups", checkCgroups},
		{"state directory", checkState},
		{"disk space", checkSpace},
		{"server", checkServer},
	}
}

// Run makes all checks, at once, and returns what they found in a fixed order.
// It changes nothing on the machine that it does not undo.
func Run(ctx context.Context, cfg Config) []Finding {
	all := checks()
	findings := make([]Finding, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			f, err := c.run(ctx, cfg)
			if err != nil {
				f = failure(err)
			}
			f.Check = c.name
			findings[i] = f
		})
	}
	wg.Wait()
	return findings
}

// Failed reports whether a finding is such that NixSpace does not work.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Status == Fail {
			return true
		}
	}
	return false
}

func failure(err error) Finding {
	f := Finding{Status: Fail, Detail: err.Error()}
	if e := (*nixspace.Error)(nil); errors.As(err, &e) {
		f.Detail, f.Hint = e.Message, e.Hint
	}
	return f
}

func ok(detail string) Finding { return Finding{Status: OK, Detail: detail} }

func warn(detail, hint string) Finding { return Finding{Status: Warn, Detail: detail, Hint: hint} }
