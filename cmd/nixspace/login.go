package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type loginCmd struct {
	Address       string `arg:"" optional:"" help:"The server's address, or an invitation's link."`
	Name          string `placeholder:"NAME" help:"Who you are there. Asked for without it."`
	PasswordStdin bool   `help:"Read the password from standard input, for scripts."`
}

// Help says more than one line about the verb.
func (*loginCmd) Help() string {
	return "The token that the server gives is kept in logins.json, in nixspace in your configuration directory, for you alone to read. " +
		"From then on commands go to that server, unless one runs on this machine or --url names another.\n\n" +
		"Examples:\n  nixspace login https://build.example.org\n  nixspace login 'https://build.example.org/join#nxi_…'"
}

// Run signs in to a server.
func (c *loginCmd) Run(ctx context.Context, g *globals, std streams) error {
	address, invitation, _ := strings.Cut(c.Address, "#")
	address = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(address, "/join"), "/sign-in"), "/")
	if address == "" {
		address = g.URL
	}
	if address == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "the address of the server is missing").WithHint("nixspace login https://build.example.org")
	}
	api, err := client.New(address, "")
	if err != nil {
		return err
	}
	defer api.Close()
	in := &asker{std: std, lines: bufio.NewReader(std.In), quiet: c.PasswordStdin}
	name := c.Name
	if name == "" {
		if name, err = in.line("Name: "); err != nil {
			return err
		}
	}
	password, err := in.secret("Password: ")
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	request := client.SignIn{Code: invitation, Name: name, Password: password, Token: "login " + host}
	got, err := api.SignIn(ctx, request)
	if nixspace.ErrorCode(err) == "code_required" && !c.PasswordStdin {
		if request.TOTP, err = in.line("One-time password: "); err != nil {
			return err
		}
		got, err = api.SignIn(ctx, request)
	}
	if err != nil {
		return err
	}
	l, err := readLogins()
	if err != nil {
		return err
	}
	l.put(login{URL: address, Name: got.Name, Token: got.Secret})
	if err := l.write(); err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]string{"url": address, "name": got.Name})
	}
	_, err = fmt.Fprintf(std.Out, "signed in to %s as %s\n", term.Clean(address), term.Clean(got.Name))
	return err
}

type logoutCmd struct {
	Address string `arg:"" optional:"" help:"The server's address; without it, the one that commands go to."`
}

// Run ends the token of a server, and forgets it.
func (c *logoutCmd) Run(ctx context.Context, g *globals, std streams) error {
	l, err := readLogins()
	if err != nil {
		return err
	}
	found, ok := l.find(strings.TrimSuffix(c.Address, "/"))
	if !ok {
		return nixspace.Errorf(nixspace.KindNotFound, "login_unknown", "you are not signed in there").WithHint("nixspace login ADDRESS")
	}
	api, err := client.New(found.URL, found.Token)
	if err != nil {
		return err
	}
	defer api.Close()
	// The token is revoked where the server can be reached, and forgotten in any case.
	all, err := api.Tokens(ctx)
	for _, t := range all {
		if t.Current {
			_, err = api.RevokeToken(ctx, string(t.ID))
		}
	}
	l.remove(found.URL)
	if writeErr := l.write(); writeErr != nil {
		return writeErr
	}
	if err != nil && nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]string{"url": found.URL})
	}
	_, err = fmt.Fprintf(std.Out, "signed out of %s\n", term.Clean(found.URL))
	return err
}

// asker asks a person.
type asker struct {
	std   streams
	lines *bufio.Reader
	quiet bool // a script answers
}

func (a *asker) line(prompt string) (string, error) {
	if !a.quiet {
		fmt.Fprint(a.std.Err, prompt)
	}
	s, err := a.lines.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || s == "") {
		return "", nixspace.Errorf(nixspace.KindInvalid, "input_ended", "the input ended")
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// secret reads a line without showing it.
func (a *asker) secret(prompt string) (string, error) {
	f, ok := a.std.In.(*os.File)
	if a.quiet || !ok || !xterm.IsTerminal(int(f.Fd())) {
		return a.line(prompt)
	}
	fmt.Fprint(a.std.Err, prompt)
	b, err := xterm.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.std.Err)
	if err != nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, "input_ended", "the password cannot be read: %w", err)
	}
	return string(b), nil
}

// login is a server that somebody signed in to.
type login struct {
	URL   string `json:"url"`
	Name  string `json:"name"`
	Token string `json:"token"`
}

// logins are the servers that somebody signed in to, the one that commands go to
// first.
type logins struct {
	path string
	All  []login `json:"logins"`
}

func readLogins() (*logins, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "config_dir_unknown", "no home directory is known: %w", err).
			WithHint("set HOME or XDG_CONFIG_HOME, or use NIXSPACE_URL and NIXSPACE_TOKEN")
	}
	l := &logins{path: filepath.Join(dir, "nixspace", "logins.json")}
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(b, l)
	}
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "logins_invalid", "%s cannot be read: %w", l.path, err).WithHint("remove it and sign in again")
	}
	return l, nil
}

// find returns the login of an address, or the first one for none.
func (l *logins) find(url string) (login, bool) {
	for _, x := range l.All {
		if url == "" || x.URL == url {
			return x, true
		}
	}
	return login{}, false
}

func (l *logins) put(x login) {
	l.remove(x.URL)
	l.All = append([]login{x}, l.All...)
}

func (l *logins) remove(url string) {
	kept := l.All[:0]
	for _, x := range l.All {
		if x.URL != url {
			kept = append(kept, x)
		}
	}
	l.All = kept
}

// write replaces the file, which only its owner may read.
func (l *logins) write() error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the logins: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	next := l.path + ".new"
	if err := errors.Join(os.WriteFile(next, append(b, '\n'), 0o600), os.Chmod(next, 0o600)); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	if err := os.Rename(next, l.path); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	return nil
}
