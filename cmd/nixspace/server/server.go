// Package server puts a whole NixSpace server together, runs it, and takes it
// apart again. It is the one place that knows every part.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/code"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/sshd"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/collect"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/internal/statedir"
	"github.com/nixspace/nixspace/internal/telemetry"
	"github.com/nixspace/nixspace/jobs"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/ui"
)

// stopLimit is how long a server takes to stop before it stops taking care.
const stopLimit = 2 * time.Minute

// Config says what server to run.
type Config struct {
	State  string   // the state directory
	Listen string   // host:port; port 0 for any that is free
	Hosts  []string // further names under which it may be asked
	// PreviewDomain is the domain below which previews have their hosts; localhost
	// when empty.
	PreviewDomain string
	TLS           TLS
	Quota         records.Quota // of those who have an account
	// PathPrefix is the path below which a proxy puts the server; empty for none.
	PathPrefix  string
	DatabaseURL string // empty for a private PostgreSQL in the state directory
	PGBin       string // where the private PostgreSQL's programs are; empty to look for them
	Version     string
	Log         *slog.Logger
	Parts       Parts
	Rest
	Code      nixspace.CodeLimits // of projects
	MaxImport int64               // bytes of a file to import; 16 GiB when 0
	Collect   Collect

	// Report is told about each step of the start and the stop. It may be nil.
	Report func(Step)
	// Progress is told about long work of the start. It may be nil.
	Progress nixspace.ProgressFunc
	// Ready is called once the server answers, and the server runs on while it
	// does and after it returned. When it fails the server stops. It may be nil.
	Ready func(context.Context, Running) error
	// Force, once closed, makes a stop quick rather than careful. It may be nil.
	Force <-chan struct{}
}

// Parts make what a server is composed of. Each returns how to stop what it
// made; that may be nil.
type Parts struct {
	Packages   func(context.Context, Site) (builds.Packages, Stop, error)
	Machines   func(context.Context, Site) (nixspace.Machines, Stop, error)
	Workspaces func(context.Context, Site) (environments.Workspaces, error)
	// Sources fetches code into the workspaces; nil for a server that fetches none.
	Sources func(context.Context, Site, environments.Workspaces) (fetches.Parts, error)
}

// Site is where a part does its work.
type Site struct {
	Dir      *statedir.Dir
	Log      *slog.Logger
	Progress nixspace.ProgressFunc
	Code     nixspace.CodeLimits
}

// Stop ends something and returns when nothing of it is left. When its context
// ends it hurries.
type Stop func(context.Context) error

// Running is a server that answers.
type Running struct {
	URL   string // as a program on this machine reaches it
	Token string
	// Secure is the host and port of HTTPS; empty where it is not served.
	Secure string
	// SignIn is the address that signs a browser in.
	SignIn string
	State  string // the state directory
	Owner  nixspace.Actor
	App    *app.App
}

// Step is one step of a start or stop that is complete.
type Step struct {
	Name   string // "database"
	Detail string // "PostgreSQL 15.20"
	Took   time.Duration
	Err    error
}

// Rest says when running sessions are put to rest.
type Rest struct {
	OnExit         OnExit        // what becomes of them; OnExitHibernate when empty
	HibernateAfter time.Duration // of idle ones; never when 0
	Prewarm        bool          // make templates in the background
}

// Collect says what garbage a server collects by itself.
type Collect struct {
	Every     time.Duration // how often; never when 0
	OlderThan time.Duration // what was not used for so long
	Sessions  bool          // sessions that ended so long ago too, with their disks
}

// OnExit says what becomes of running sessions when a server ends.
type OnExit string

// What may become of them. Ephemeral sessions are stopped in any case.
const (
	OnExitHibernate OnExit = "hibernate" // those that cannot be are stopped
	OnExitStop      OnExit = "stop"
	OnExitKeep      OnExit = "keep" // their machines run on
)

// Run starts a server, runs it until ctx ends, and stops it; nothing that it
// started is left then, but for sessions that [OnExitKeep] keeps. It returns nil after ctx ended, and
// otherwise why it could not start or go on.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Report == nil {
		cfg.Report = func(Step) {}
	}
	s := &server{cfg: cfg}
	ctx, s.giveUp = context.WithCancelCause(ctx)
	defer s.giveUp(nil)
	defer func() { err = errors.Join(err, s.unwind(ctx)) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	if cfg.Ready != nil {
		if err := cfg.Ready(ctx, s.running); err != nil && ctx.Err() == nil {
			return err
		}
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

type server struct {
	cfg     Config
	giveUp  context.CancelCauseFunc // ends the server because a part failed
	running Running
	undo    []undo

	dir        *statedir.Dir
	listener   net.Listener
	secure     net.Listener // for HTTPS; nil for none
	dbURL      string
	db         *postgres.DB
	packages   builds.Packages
	machines   nixspace.Machines
	workspaces environments.Workspaces
	queue      *jobs.Queue
	tracing    *telemetry.Tracing
}

// start brings everything up, each part after those that it needs.
func (s *server) start(ctx context.Context) error {
	steps := []struct {
		name string
		run  func(context.Context) (detail string, err error)
	}{
		{"state", s.openState},
		{"address", s.listen},
		{"database", s.openDatabase},
		{"schema", s.migrate},
		{"packages", s.openPackages},
		{"machines", s.openMachines},
		{"sessions", s.openApp},
		{"jobs", s.startJobs},
		{"api", s.serve},
	}
	for _, step := range steps {
		begin := time.Now()
		detail, err := step.run(ctx)
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		s.cfg.Report(Step{Name: step.name, Detail: detail, Took: time.Since(begin), Err: err})
		if err != nil {
			return err
		}
		s.cfg.Log.Debug("started", "part", step.name, "detail", detail, "took", time.Since(begin))
	}
	return nil
}

func (s *server) openState(context.Context) (string, error) {
	var err error
	if s.dir, err = statedir.Open(s.cfg.State); err != nil {
		return "", err
	}
	s.onStop("state", func(context.Context) error { return s.dir.Close() })
	s.running.State = s.dir.Path()
	if free, err := statedir.Free(s.dir.Path()); err == nil && free < statedir.LowFree {
		s.cfg.Log.Warn("little disk space is left", "dir", s.dir.Path(), "free_mib", free>>20)
	}
	return s.dir.Path(), nil
}

// listen takes the address early, so that a port that is in use is told at once.
// Requests that come before the server answers wait.
func (s *server) listen(ctx context.Context) (string, error) {
	var err error
	if s.listener, err = listen(ctx, s.cfg.Listen); err != nil {
		return "", err
	}
	s.onStop("address", func(context.Context) error {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // the HTTP server has closed it
	})
	s.running.URL = address(s.listener)
	if s.cfg.TLS.Listen == "" {
		return s.running.URL, nil
	}
	if s.secure, err = listenTLS(ctx, s.cfg.TLS, s.cfg.Log); err != nil {
		return "", err
	}
	s.onStop("https", func(context.Context) error {
		if err := s.secure.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	s.running.Secure = s.secure.Addr().String()
	return s.running.URL + ", and https on " + s.running.Secure, nil
}

func (s *server) openPackages(ctx context.Context) (_ string, err error) {
	var stop Stop
	s.packages, stop, err = s.cfg.Parts.Packages(ctx, s.site("packages"))
	s.onStop("packages", stop)
	return describe(s.packages), err
}

func (s *server) openMachines(ctx context.Context) (_ string, err error) {
	if s.workspaces, err = s.cfg.Parts.Workspaces(ctx, s.site("workspaces")); err != nil {
		return "", err
	}
	var stop Stop
	s.machines, stop, err = s.cfg.Parts.Machines(ctx, s.site("machines"))
	s.onStop("machines", stop)
	return describe(s.machines), err
}

func (s *server) site(part string) Site {
	return Site{Dir: s.dir, Log: s.cfg.Log.With("part", part), Progress: s.cfg.Progress, Code: s.cfg.Code}
}

// describe returns what a part says of itself, if it does.
func describe(part any) string {
	if d, ok := part.(interface{ Describe() string }); ok {
		return d.Describe()
	}
	return ""
}

// openApp puts the use cases together and brings the database in line with what
// an earlier server left.
func (s *server) openApp(ctx context.Context) (string, error) {
	var err error
	s.queue, err = jobs.New(s.db.Pool(), jobs.Config{
		Server: s.dir.ID(), CollectEvery: s.cfg.Collect.Every, Log: telemetry.Quiet(s.cfg.Log.With("part", "jobs"), slog.LevelWarn),
	})
	if err != nil {
		return "", err
	}
	var parts fetches.Parts
	if s.cfg.Parts.Sources != nil {
		if parts, err = s.cfg.Parts.Sources(ctx, s.site("sources"), s.workspaces); err != nil {
			return "", err
		}
		parts.Jobs = s.queue
	}
	var prewarms sessions.Prewarms
	if s.cfg.Prewarm {
		prewarms = s.queue
	}
	secrets, err := s.dir.Secret("secrets.key")
	if err != nil {
		return "", err
	}
	s.running.App = app.New(app.Config{
		Quota:   s.cfg.Quota,
		Secrets: secrets,
		Store:   s.db, Packages: s.packages, Machines: s.machines, Workspaces: s.workspaces, Jobs: s.queue, Sources: parts, Prebuilds: s.queue,
		Log: s.cfg.Log.With("part", "app"), HibernateAfter: s.cfg.HibernateAfter, Prewarms: prewarms,
		Experiments: s.queue,
		Collect:     collect.CollectGarbage{OlderThan: &s.cfg.Collect.OlderThan, Sessions: s.cfg.Collect.Sessions},
	})
	if s.running.Owner, err = s.running.App.Owner(ctx, userName()); err != nil {
		return "", err
	}
	rescued, err := s.queue.Rescue(ctx)
	if err != nil {
		return "", err
	}
	if err := s.running.App.Reconcile(nixspace.WithActor(ctx, nixspace.SystemActor)); err != nil {
		return "", fmt.Errorf("take up what an earlier server left: %w", err)
	}
	done := make(chan error, 1)
	run, end := context.WithCancel(nixspace.WithActor(context.WithoutCancel(ctx), nixspace.SystemActor))
	go func() {
		err := s.running.App.Run(run)
		if run.Err() == nil {
			s.giveUp(fmt.Errorf("watch the sessions: %w", err))
		}
		done <- err
	}()
	s.onStop("app", func(context.Context) error {
		end()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	s.onStop("sessions", s.restSessions)
	live, err := s.running.App.Sessions(nixspace.WithActor(ctx, nixspace.SystemActor), "", false)
	if err != nil {
		return "", err
	}
	return found(len(live), rescued), nil
}

// found says what an earlier server left.
func found(sessions int, builds int64) string {
	switch {
	case sessions == 0 && builds == 0:
		return ""
	case builds == 0:
		return plural(int64(sessions), "session", "found")
	case sessions == 0:
		return plural(builds, "build", "taken up again")
	}
	return plural(int64(sessions), "session", "found") + ", " + plural(builds, "build", "taken up again")
}

func plural(n int64, what, how string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatInt(n, 10) + " " + what + " " + how
}

func (s *server) startJobs(ctx context.Context) (string, error) {
	if err := s.queue.Start(ctx, s.running.App); err != nil {
		return "", err
	}
	s.onStop("jobs", s.queue.Stop)
	return "", nil
}

// serve begins to answer and says so to the command line.
func (s *server) serve(ctx context.Context) (string, error) {
	var err error
	if s.tracing, err = telemetry.StartTracing(ctx, s.cfg.Version); err != nil {
		return "", err
	}
	s.onStop("traces", s.tracing.Stop)
	s.running.Token = auth.RandomToken()
	token, err := auth.NewToken(s.running.Token, s.running.Owner)
	if err != nil {
		return "", err
	}
	key, err := s.dir.Secret("cookie.key")
	if err != nil {
		return "", err
	}
	s.running.SignIn = s.running.URL + "/sign-in#" + auth.SignInCode(s.running.Token)
	browser, err := auth.NewBrowser(token, key, auth.SignInCode(s.running.Token), s.running.Owner)
	if err != nil {
		return "", err
	}
	accounts := auth.NewAccounts(browser, s.running.App)
	site, detail := ui.Site(), ""
	if site == nil {
		detail = "without the web interface, which this program was built without"
	}
	workbench, err := s.workbench()
	if err != nil {
		return "", err
	}
	metrics := s.metrics()
	previews := preview.New(preview.Config{
		App: s.running.App, Auth: accounts, Log: s.cfg.Log.With("part", "previews"), Domain: s.cfg.PreviewDomain, Platform: s.platform(), Key: key,
	})
	s.onStop("previews", func(context.Context) error { previews.Close(); return nil })
	hostKey, err := s.dir.Secret("ssh-host.key")
	if err != nil {
		return "", err
	}
	secureShell, err := sshd.New(hostKey, s.cfg.Log.With("part", "ssh"))
	if err != nil {
		return "", err
	}
	handler := web.New(web.Config{
		Previews: previews, SSH: secureShell, Workbench: workbench,
		App: s.running.App, Auth: accounts, SignIns: accounts, Site: site, PathPrefix: s.cfg.PathPrefix, Log: s.cfg.Log.With("part", "http"), Hosts: s.cfg.Hosts, Version: s.cfg.Version,
		Health: telemetry.Health(), Ready: telemetry.Ready(s.checks()...), Metrics: metrics.Handler(s.cfg.Log),
		MaxWorkspace: s.cfg.Code.WithDefaults().Archive(), MaxImport: s.cfg.MaxImport, Spool: s.dir.Path(),
	})
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		done <- s.answer(run, handler, func(next http.Handler) http.Handler { return s.tracing.Wrap(metrics.Wrap(next)) })
	}()
	s.onStop("api", func(context.Context) error {
		end()
		return <-done
	})
	err = s.dir.Announce(statedir.Server{URL: s.running.URL, Token: s.running.Token, PID: os.Getpid()})
	return detail, err
}

// workbench is the editor, if this program was built with it.
func (s *server) workbench() (*code.Site, error) {
	files := ui.Code()
	if files == nil {
		return nil, nil
	}
	return code.NewSite(files)
}

// platform is the address of the server for people: the name that it was given, or
// that of this machine.
func (s *server) platform() string {
	if len(s.cfg.Hosts) > 0 && s.cfg.PreviewDomain != "" {
		return "https://" + s.cfg.Hosts[0] + s.cfg.PathPrefix
	}
	return s.running.URL
}

// userName is the name of the user who runs the server.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "owner"
}
