package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type sshCmd struct {
	Session string   `arg:"" optional:"" help:"The session."`
	Config  bool     `name:"config" help:"Make every session a host of this user's SSH, by the name PROJECT-ENVIRONMENT-NUMBER.nixspace, for ssh, scp, and editors such as VS Code, JetBrains, Zed and Cursor. It writes ~/.ssh/nixspace_config and one line of ~/.ssh/config that includes it."`
	Option  []string `short:"o" sep:"none" placeholder:"OPTION" help:"An option for ssh, as in its configuration: -o LocalForward='8080 localhost:3000'."`
	Forward []string `short:"L" sep:"none" placeholder:"PORT:HOST:PORT" help:"Make a port of the session a port of this machine, as ssh does."`
	Stdio   bool     `name:"stdio" hidden:"" help:"Join standard input and output with the session's SSH server: what SSH runs as its ProxyCommand."`

	argv []string
}

// Help says more than one line about the verb.
func (*sshCmd) Help() string {
	return "It runs this machine's ssh, through the connection to the NixSpace server: no port is opened for it, and no key is needed. A command stands after --.\n\nExample: nixspace ssh shop/1 -- git status; nixspace ssh --config && ssh shop-shop-1.nixspace"
}

func (c *sshCmd) setCommand(argv []string) { c.argv = argv }

// Run opens a session by SSH, or configures SSH for all of them.
func (c *sshCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.Config {
		return c.configure(ctx, g, std)
	}
	if c.Session == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "there is no session").WithHint("name one, or write SSH's configuration for all of them with: nixspace ssh --config")
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.Stdio {
		ref, err := sshSession(ctx, api, c.Session)
		if err != nil {
			return err
		}
		return api.SSH(ctx, ref, joined(std))
	}
	return c.connect(ctx, g, api, std)
}

const (
	sshDomain = ".nixspace"
	sshAlias  = "nixspace" // by which the host key is known
)

// sshSession finds the session that a host's name means.
func sshSession(ctx context.Context, api *client.Client, name string) (string, error) {
	host, ok := strings.CutSuffix(name, sshDomain)
	if !ok {
		return name, nil
	}
	all, err := api.Sessions(ctx, "", true)
	if err != nil {
		return "", err
	}
	found := ""
	for _, s := range all {
		if sshHost(s.Ref) != host && string(s.ID) != host {
			continue
		}
		if found != "" {
			return "", nixspace.Errorf(nixspace.KindInvalid, "session_ambiguous", "%s may mean %s and %s", name, found, s.Ref).
				WithHint("use the session's ID: %s%s", s.ID, sshDomain)
		}
		found = s.Ref
	}
	if found == "" {
		return "", nixspace.Errorf(nixspace.KindNotFound, "session_not_found", "no session is called %s", name).
			WithHint("hosts are named PROJECT-ENVIRONMENT-NUMBER%s; nixspace list sessions lists them", sshDomain)
	}
	return found, nil
}

// sshHost is the name of a session's host, without its domain.
func sshHost(ref string) string { return strings.ReplaceAll(ref, "/", "-") }

// stdio is standard input and output as a connection that can be closed while
// somebody reads from it.
type stdio struct {
	*io.PipeReader
	io.Writer
}

func joined(std streams) stdio {
	r, w := io.Pipe()
	go func() { // a read of standard input cannot be given up, so it may outlive the verb
		_, err := io.Copy(w, std.In)
		_ = w.CloseWithError(err)
	}()
	return stdio{r, std.Out}
}

// connect runs ssh.
func (c *sshCmd) connect(ctx context.Context, g *globals, api *client.Client, std streams) error {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "ssh_missing", "this machine has no ssh").
			WithHint("install OpenSSH's client, or use: nixspace shell %s", c.Session)
	}
	key, err := api.SSHHostKey(ctx)
	if err != nil {
		return err
	}
	proxy, err := g.proxyCommand(c.Session)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "nixspace-ssh-")
	if err != nil {
		return fmt.Errorf("keep the host key: %w", err)
	}
	defer os.RemoveAll(dir)
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(sshAlias+" "+key+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the host key: %w", err)
	}
	args := []string{}
	for _, o := range append([]string{
		"ProxyCommand=" + proxy, "UserKnownHostsFile=" + known, "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=" + sshAlias,
		"StrictHostKeyChecking=yes", "User=dev", "ForwardAgent=no",
	}, c.Option...) {
		args = append(args, "-o", o)
	}
	for _, f := range c.Forward {
		args = append(args, "-L", f)
	}
	args = append(append(args, sshHost(c.Session)+sshDomain), c.argv...)
	cmd := exec.CommandContext(ctx, ssh, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.In, std.Out, std.Err
	cmd.Env = os.Environ()
	if g.Token != "" {
		cmd.Env = append(cmd.Env, "NIXSPACE_TOKEN="+g.Token)
	}
	// Keys that interrupt are ssh's to pass on.
	cmd.Cancel = func() error { return nil }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError(exit.ExitCode())
	}
	return err
}

// proxyCommand is the command by which SSH reaches a session; host may be one of
// SSH's own placeholders. It never names a token: other users see arguments.
func (g *globals) proxyCommand(host string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	words := []string{shellWord(self)}
	if g.URL != "" {
		words = append(words, "--url", shellWord(g.URL))
	}
	if g.State != "" {
		state, err := filepath.Abs(g.State)
		if err != nil {
			return "", fmt.Errorf("find the state directory: %w", err)
		}
		words = append(words, "--state", shellWord(state))
	}
	if host != "%n" {
		host = shellWord(host)
	}
	return strings.Join(append(words, "ssh", "--stdio", host), " "), nil
}

// shellWord quotes a word for a shell, and for SSH, which takes % for its own.
func shellWord(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// configure writes SSH's configuration.
func (c *sshCmd) configure(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	key, err := api.SSHHostKey(ctx)
	if err != nil {
		return err
	}
	proxy, err := g.proxyCommand("%n")
	if err != nil {
		return err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nixspace.Errorf(nixspace.KindInvalid, "home_unknown", "no home directory is known: %w", err)
	}
	dir := filepath.Join(home, ".ssh")
	config, known := filepath.Join(dir, "nixspace_config"), filepath.Join(dir, "nixspace_known_hosts")
	text := fmt.Sprintf(`# Written by nixspace ssh --config, which writes it anew.
Host *%s
  User dev
  HostKeyAlias %s
  UserKnownHostsFile "%s"
  StrictHostKeyChecking yes
  ForwardAgent no
  ProxyCommand %s
`, sshDomain, sshAlias, known, proxy)
	err = errors.Join(
		os.MkdirAll(dir, 0o700),
		os.WriteFile(known, []byte(sshAlias+" "+key+"\n"), 0o600),
		os.WriteFile(config, []byte(text), 0o600),
	)
	if err == nil {
		err = include(filepath.Join(dir, "config"), filepath.Base(config))
	}
	if err != nil {
		return nixspace.Errorf(nixspace.KindInvalid, "ssh_config_failed", "SSH's configuration cannot be written: %w", err)
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]string{"config": config, "known_hosts": known, "domain": sshDomain[1:]})
	}
	_, _ = fmt.Fprintf(std.Out, "wrote %s\n", config)
	if g.URL != "" && g.Token != "" {
		_, _ = fmt.Fprintln(std.Err, "the token is not written there: set NIXSPACE_TOKEN where SSH runs")
	}
	sessions, err := api.Sessions(ctx, "", false)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		_, _ = fmt.Fprintf(std.Out, "ssh %s%s\n", sshHost(s.Ref), sshDomain)
	}
	return nil
}

// include makes a configuration include another one, first of all: what stands first
// wins, and what stands after a Host line belongs to it.
func include(file, other string) error {
	line := "Include " + other
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for l := range strings.Lines(string(b)) {
		if strings.TrimSpace(l) == line {
			return nil
		}
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	// A link to a file elsewhere, as people keep them, stays one.
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	tmp := file + ".nixspace"
	if err := os.WriteFile(tmp, append([]byte(line+"\n\n"), b...), mode); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
