package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/server"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/internal/telemetry"
)

type upCmd struct {
	Listen      string   `name:"listen" env:"NIXSPACE_LISTEN" default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Where to listen (${default}). Port 0 takes any that is free."`
	Hosts       []string `name:"host" env:"NIXSPACE_HOSTS" placeholder:"NAME" help:"A further name under which the server may be asked, besides localhost. It protects from web pages that make a name of their own point here."`
	Previews    string   `name:"preview-domain" env:"NIXSPACE_PREVIEW_DOMAIN" placeholder:"DOMAIN" help:"The domain below which the ports of sessions have their addresses (localhost). All names below it must lead to this server, and the domain must be of no use otherwise: what sessions serve is not to be trusted."`
	PathPrefix  string   `name:"path-prefix" env:"NIXSPACE_PATH_PREFIX" placeholder:"PATH" help:"The path below which a proxy puts the server, as /tools/nixspace, for the web interface to find everything there. Addresses without it are answered too."`
	DatabaseURL string   `name:"database-url" env:"NIXSPACE_DATABASE_URL" placeholder:"URL" help:"A PostgreSQL database to use, as postgres://user:password@host/name. Without it a private PostgreSQL runs in the state directory."`
	PGBin       string   `name:"pg-bin" env:"NIXSPACE_PG_BIN" type:"path" placeholder:"DIR" help:"The directory with the programs of the private PostgreSQL (initdb, postgres). Without it they are looked for in PATH and where distributions put them."`
	Accel       string   `name:"accel" env:"NIXSPACE_ACCEL" enum:"auto,kvm,tcg" default:"auto" placeholder:"auto|kvm|tcg" help:"How machines are run: with KVM, in software (tcg), or with KVM where it works (${default})."`
	Mirror      string   `name:"debian-mirror" env:"NIXSPACE_DEBIAN_MIRROR" placeholder:"URL" help:"A Debian mirror to fetch packages from, for machines whose apt names none."`
	LogFormat   string   `name:"log-format" env:"NIXSPACE_LOG_FORMAT" enum:"text,json" default:"text" placeholder:"text|json" help:"How the log on standard error is written (${default}). With json, steps are log lines too."`
	LogLevel    string   `name:"log-level" env:"NIXSPACE_LOG_LEVEL" enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"The least grave lines to log: debug, info, warn or error (warn on a terminal, which shows the steps themselves, else info)."`
	tlsFlags
	quotaFlags
	networks
	codeLimit
	MaxImport int64 `env:"NIXSPACE_MAX_IMPORT" default:"16384" placeholder:"MIB" help:"How many MiB a file to import may have (${default}). What is in it may have eight times as many, unpacked."`
	restPolicy
	collectPolicy
	Quickstart bool `name:"quickstart" env:"NIXSPACE_QUICKSTART" default:"true" negatable:"" help:"On an empty state directory, make an example project with three environments and run them side by side."`
}

// tlsFlags are the flags of HTTPS.
type tlsFlags struct {
	TLSListen string `name:"tls-listen" env:"NIXSPACE_TLS_LISTEN" placeholder:"HOST:PORT" help:"Where to listen for HTTPS too, for other machines. It takes --tls-cert and --tls-key, and the names in the certificate given with --host. The other address stays as it is, for this machine."`
	TLSCert   string `name:"tls-cert" env:"NIXSPACE_TLS_CERT" type:"path" placeholder:"FILE" help:"The certificate, with its chain, in PEM. It is read again when it changes."`
	TLSKey    string `name:"tls-key" env:"NIXSPACE_TLS_KEY" type:"path" placeholder:"FILE" help:"The certificate's private key, in PEM."`
}

// quotaFlags are the flags that bound those who have an account.
type quotaFlags struct {
	UserSessions    int `name:"max-user-sessions" env:"NIXSPACE_MAX_USER_SESSIONS" default:"0" placeholder:"N" help:"How many sessions with a machine somebody who has an account may have at a time; hibernated ones take no place. Any number when 0, which is the default. The owner of the server is not bounded."`
	ProjectSessions int `name:"max-project-sessions" env:"NIXSPACE_MAX_PROJECT_SESSIONS" default:"0" placeholder:"N" help:"How many a project may have at a time, as far as those who have an account start them. Any number when 0, which is the default."`
}

// config fails where only a part of it is given.
func (f tlsFlags) config() (server.TLS, error) {
	t := server.TLS{Listen: f.TLSListen, Cert: f.TLSCert, Key: f.TLSKey}
	if t != (server.TLS{}) && (t.Listen == "" || t.Cert == "" || t.Key == "") {
		return t, nixspace.Errorf(nixspace.KindInvalid, "usage", "--tls-listen, --tls-cert and --tls-key go together")
	}
	return t, nil
}

// networks are the flags that say what may be reached from here.
type networks struct {
	PrivateNetworks bool     `name:"allow-private-networks" env:"NIXSPACE_ALLOW_PRIVATE_NETWORKS" help:"Let sessions reach private networks too, as far as the environment's own policy does (10.0.0.0/8, 192.168.0.0/16 and so on). This machine itself is reached only where an environment names it. Link-local addresses and the metadata services of clouds stay refused."`
	AllowNetworks   []string `name:"allow-network" env:"NIXSPACE_ALLOW_NETWORKS" placeholder:"NETWORK" help:"A private network that code may be fetched from, as 10.1.0.0/16, an address, or private for all of them. Without it only public addresses are reached. Metadata services and link-local addresses never are."`
}

// restPolicy are the flags that say when sessions are put to rest.
type restPolicy struct {
	OnExit         string        `name:"on-exit" env:"NIXSPACE_ON_EXIT" enum:"hibernate,stop,keep" default:"hibernate" placeholder:"hibernate|stop|keep" help:"What becomes of running sessions when the server ends (${default}). hibernate: they go on where they were once they are needed. stop: only their disks are kept. keep: their machines run on; without a server for ten minutes they hibernate by themselves. Ephemeral sessions are always stopped."`
	HibernateAfter time.Duration `name:"hibernate-after" env:"NIXSPACE_HIBERNATE_AFTER" default:"0s" placeholder:"30m" help:"Hibernate a session in which nobody has worked for so long, where its environment does not say otherwise: no command, terminal or connection through NixSpace. What needs it resumes it. Off when 0, which is the default: a program that runs on its own in the background is no activity that NixSpace sees."`
	Prewarm        bool          `name:"prewarm" env:"NIXSPACE_PREWARM" default:"true" negatable:"" help:"Make what the first session of an environment starts fast from once the environment is built, in the background and while no session starts (on by default)."`
}

var farewells = map[string]string{
	"hibernate": "stopped; nothing is left running, and sessions are hibernated",
	"stop":      "stopped; nothing is left running",
	"keep":      "stopped; sessions run on for ten minutes and then hibernate, unless a server comes back",
}

// foreground is what a new server is used for.
type foreground struct {
	Client  *client.Client
	Display *term.Display // nil with --json or JSON logs
	Streams streams
	Running server.Running
}

// Run starts the server and runs it until a signal comes. The first signal stops
// it with care, the second by force, the third at once.
func (c *upCmd) Run(ctx context.Context, g *globals, std streams) error {
	var d *term.Display
	if c.LogFormat == "text" {
		d = g.display(std)
	}
	defer d.Close()
	if c.HibernateAfter < 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "--hibernate-after cannot be less than 0")
	}
	if err := server.CheckPreviewDomain(c.Previews, c.Hosts); err != nil {
		return err
	}
	if err := web.CheckPathPrefix(c.PathPrefix); err != nil {
		return err
	}
	level := c.LogLevel
	switch {
	case level != "":
	case d.Live():
		level = "warn"
	default:
		level = "info"
	}
	log, err := telemetry.NewLogger(d.Through(std.Err), c.LogFormat, level)
	if err != nil {
		return err
	}
	state, err := g.stateDir()
	if err != nil {
		return err
	}
	https, err := c.tlsFlags.config()
	if err != nil {
		return err
	}
	if server.Public(c.Listen) {
		log.Warn("the server can be reached from other machines, and its address is not encrypted: use --tls-listen, or put a proxy with TLS before it", "listen", c.Listen)
	}
	reach, err := dial.ParsePolicy(c.AllowNetworks...)
	if err != nil {
		return err
	}
	ctx, force, stop := watchSignals(ctx, d, log)
	defer stop()

	show := &progressShower{d: d, log: log}
	err = server.Run(ctx, server.Config{
		State: state, Listen: c.Listen, TLS: https, Quota: records.Quota{UserSessions: c.UserSessions, ProjectSessions: c.ProjectSessions}, Hosts: c.Hosts, PreviewDomain: c.Previews, PathPrefix: c.PathPrefix, DatabaseURL: c.DatabaseURL, PGBin: c.PGBin,
		Version: version, Log: log, Parts: server.Real(server.Settings{Accel: c.Accel, Mirror: c.Mirror, PrivateNetworks: c.PrivateNetworks, Reach: reach}),
		Code: c.limits(), MaxImport: max(c.MaxImport, 1) << 20, Collect: server.Collect{Every: time.Duration(c.collectPolicy.Every), OlderThan: time.Duration(c.collectPolicy.OlderThan), Sessions: c.collectPolicy.Sessions}, Rest: server.Rest{OnExit: server.OnExit(c.OnExit), HibernateAfter: c.HibernateAfter, Prewarm: c.Prewarm}, Report: show.step, Progress: d.Report, Force: force,
		Ready: func(ctx context.Context, r server.Running) error {
			if d == nil {
				log.Info("ready", "url", r.URL, "state", r.State)
			}
			d.Printf("\n%s at %s (stop it with Ctrl-C)\n", d.Bold("NixSpace is ready"), r.URL)
			d.Printf("Open it in a browser: %s\n", r.SignIn)
			if !c.Quickstart {
				return nil
			}
			cl, err := client.New(r.URL, r.Token)
			if err != nil {
				return err
			}
			return quickStart(ctx, foreground{cl, d, std, r})
		},
	})
	if err == nil {
		d.Printf("%s", farewells[c.OnExit])
	}
	return err
}

// watchSignals returns a context that ends with the first signal, and a channel
// that is closed by the second.
func watchSignals(ctx context.Context, d *term.Display, log *slog.Logger) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	force := make(chan struct{})
	signals := make(chan os.Signal, 4)
	watched := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		watched = append(watched, syscall.SIGHUP)
	}
	signal.Notify(signals, watched...)
	// Without this, the first word to an output that nobody reads any more would end
	// the program, and with it the clean end of everything that it started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case sig := <-signals:
				log.Debug("signal", "signal", sig.String(), "count", n)
			}
			switch n {
			case 1:
				cancel()
				d.Printf("\nstopping the server (once more to hurry)")
			case 2:
				close(force)
				d.Printf("ending everything by force (once more to leave it as it is)")
			default:
				os.Exit(130)
			}
		}
	}()
	return ctx, force, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// progressShower shows the steps of a start and a stop.
type progressShower struct {
	d   *term.Display
	log *slog.Logger
}

func (p *progressShower) step(s server.Step) {
	if p.d == nil {
		if s.Err == nil {
			p.log.Info(s.Name, "detail", s.Detail, "took", s.Took)
		}
		return
	}
	switch {
	case s.Err != nil && !strings.HasPrefix(s.Name, "stop "):
		p.d.Printf("  ✗ %s", s.Name) // the error itself is reported at the end
	case s.Err != nil:
		p.d.Printf("  ✗ %s: %v", s.Name, s.Err)
	default:
		p.d.Printf("  ✓ %-16s %-50s %8s", s.Name, s.Detail, took(s.Took))
	}
}

func took(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
