package gitaccess

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/helper"
	"github.com/nixspace/nixspace/app/records"
)

const (
	// linger is how long a machine is still answered after somebody has left, for the
	// next command.
	linger    = time.Minute
	lineMax   = 8 << 10
	prepareIn = 20 * time.Second // for a machine to take what git needs
)

type loanKey struct{ session, user nixspace.ID }

// loan is what one user lends to one session.
type loan struct {
	users  int // what is open of the user's
	config string
	end    context.CancelFunc // of the helper; nil where none runs
	done   chan struct{}      // closed when it has ended
	timer  *time.Timer
	mu     sync.Mutex // held while it is prepared
}

// Lend makes a machine ready for the actor's work with git there, and returns the
// variables that whatever the actor starts there must have, and what is to be called
// when that has ended. Where the actor has told nothing for git, or the machine cannot
// take it, there are no variables: git then works as it would by itself.
func (u *UseCases) Lend(ctx context.Context, session nixspace.ID, m nixspace.Machine) (env map[string]string, release func()) {
	none := func() {}
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil || actor.ID == nixspace.SystemActor.ID {
		return nil, none
	}
	s, err := settings(ctx, u.records.Store.Read(), actor.ID)
	if err != nil {
		u.log.WarnContext(ctx, "what a user told for git cannot be read", "error", err)
		return nil, none
	}
	if s.Identity == (nixspace.GitIdentity{}) && len(s.Credentials) == 0 {
		return nil, none
	}
	files, ok := m.(nixspace.Files)
	if !ok {
		return nil, none
	}
	l := u.enter(loanKey{session, actor.ID})
	release = sync.OnceFunc(func() { u.leave(loanKey{session, actor.ID}, l) })
	ctx, cancel := context.WithTimeout(ctx, prepareIn)
	defer cancel()
	dir := "/tmp/.nixspace-git-" + string(actor.ID)
	if err := u.prepare(ctx, l, s, actor.ID, m, files, dir); err != nil {
		release()
		u.log.DebugContext(ctx, "git cannot be prepared in a machine", "session", session, "error", err)
		return nil, none
	}
	return map[string]string{"GIT_CONFIG_SYSTEM": dir + "/config"}, release
}

func (u *UseCases) enter(k loanKey) *loan {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.loans[k]
	if l == nil {
		l = &loan{}
		u.loans[k] = l
	}
	l.users++
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	return l
}

func (u *UseCases) leave(k loanKey, l *loan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	l.timer = time.AfterFunc(linger, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if l.users > 0 || u.loans[k] != l {
			return
		}
		delete(u.loans, k)
		if l.end != nil {
			l.end()
		}
	})
}

// prepare writes git's configuration into the machine's memory, and starts the helper
// there, unless both are as they should be.
func (u *UseCases) prepare(ctx context.Context, l *loan, s *nixspace.GitSettings, user nixspace.ID, m nixspace.Machine, files nixspace.Files, dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	alive := l.done != nil
	if alive {
		select {
		case <-l.done: // the machine was stopped or hibernated, or somebody ended it
			alive = false
		default:
		}
	}
	program, err := helper.Path()
	if err != nil {
		return err
	}
	config := configuration(s, program, dir)
	if alive && l.config == config {
		return nil
	}
	if err := write(ctx, files, dir, "config", config); err != nil {
		return err
	}
	l.config = config
	if alive || len(s.Credentials) == 0 || u.seal == nil {
		return nil
	}
	p, err := helper.Exec(ctx, m, nixspace.Command{Argv: []string{"git-lend", dir + "/socket"}, Dir: "/tmp"})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	err = u.tasks.Start(run, func(ctx context.Context) {
		defer close(done)
		defer end()
		u.serve(ctx, p, user)
	})
	if err != nil {
		end()
		_ = p.Close()
		return err
	}
	u.mu.Lock()
	l.end, l.done = end, done
	u.mu.Unlock()
	return nil
}

// configuration is git's, at the lowest of its levels: what a person or a repository
// says themselves goes first.
func configuration(s *nixspace.GitSettings, program, dir string) string {
	var b strings.Builder
	b.WriteString("# Made by NixSpace for as long as the machine runs.\n")
	if s.Identity != (nixspace.GitIdentity{}) {
		fmt.Fprintf(&b, "[user]\n\tname = %s\n\temail = %s\n", quote(s.Identity.Name), quote(s.Identity.Email))
	}
	for _, c := range s.Credentials {
		// Nothing but these hosts is ever asked for.
		fmt.Fprintf(&b, "[credential %s]\n\thelper = %s\n", quote("https://"+c.Host), quote(program+" git-credential "+dir+"/socket"))
	}
	return b.String()
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

func write(ctx context.Context, files nixspace.Files, dir, name, content string) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content))})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		_, err = files.WriteFiles(ctx, dir, &b, false)
	}
	return err
}

// question is what git in a machine asks for.
type question struct {
	ID       int    `json:"id"`
	Protocol string `json:"protocol"`
	Host     string `json:"host"`
}

// reply is what it is told: nothing, where there is nothing for it.
type reply struct {
	ID       int    `json:"id"`
	User     string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// serve answers a machine until its helper ends, or ctx does.
func (u *UseCases) serve(ctx context.Context, p nixspace.Process, user nixspace.ID) {
	defer p.Close()
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	var drain sync.WaitGroup
	defer drain.Wait()
	drain.Go(func() { _, _ = io.Copy(io.Discard, p.Stderr()) })
	in := bufio.NewScanner(p.Stdout())
	in.Buffer(make([]byte, 0, 1024), lineMax)
	for in.Scan() {
		var q question
		if json.Unmarshal(in.Bytes(), &q) != nil {
			break // nothing that the helper says
		}
		r := u.answer(ctx, user, q)
		b, _ := json.Marshal(r) // strings and a number
		if _, err := p.Stdin().Write(append(b, '\n')); err != nil {
			break
		}
	}
	_ = p.Close()
}

// answer gives what opens a host, to the one whose it is, and for that host alone.
func (u *UseCases) answer(ctx context.Context, user nixspace.ID, q question) reply {
	none := reply{ID: q.ID}
	if q.Protocol != "https" || strings.ContainsAny(q.Host, "/\\?#@") {
		return none // a host, and not an address
	}
	host, err := Host(q.Host)
	if err != nil {
		return none
	}
	tx := u.records.Store.Read()
	known, err := tx.Git().Credentials(ctx, user)
	if err != nil {
		u.log.WarnContext(ctx, "git credentials cannot be read", "error", err)
		return none
	}
	for _, c := range known {
		if c.Host != host {
			continue
		}
		token, ok := u.seal.open(user, host, c.Sealed)
		if !ok {
			u.log.WarnContext(ctx, "a git credential was sealed with another key: it must be given again", "host", host)
			return none
		}
		if err := tx.Git().Used(ctx, user, host, records.Now()); err != nil {
			u.log.WarnContext(ctx, "the use of a git credential cannot be noted", "error", err)
		}
		u.log.InfoContext(ctx, "git credential lent", "host", host, "user", user)
		return reply{q.ID, c.User, token}
	}
	return none
}
