package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type gitCmd struct {
	Show     gitShowCmd     `cmd:"" default:"1" help:"Show who commits are by, and for which hosts there is a token."`
	Identity gitIdentityCmd `cmd:"" help:"Say who commits in sessions are by."`
	Login    gitLoginCmd    `cmd:"" help:"Keep a token for the repositories of a host."`
	Logout   gitLogoutCmd   `cmd:"" help:"Forget the token of a host."`
}

// Help says more than one line about the verb.
func (*gitCmd) Help() string {
	return "Tokens are kept by the server, sealed, and lent to git in the sessions in which you work, while you do. They are never written into a session.\n\nExample: nixspace git login github.com --token-stdin < token"
}

type gitShowCmd struct{}

// Run prints what was told.
func (*gitShowCmd) Run(ctx context.Context, g *globals, std streams) error {
	return gitSettings(g, std, func(api *client.Client) (*client.GitSettings, error) { return api.GitSettings(ctx) })
}

type gitIdentityCmd struct {
	Name  string `arg:"" help:"Your name, as commits have it."`
	Email string `arg:"" help:"Your address."`
}

// Run says who commits are by.
func (c *gitIdentityCmd) Run(ctx context.Context, g *globals, std streams) error {
	return gitSettings(g, std, func(api *client.Client) (*client.GitSettings, error) {
		return api.SetGitIdentity(ctx, c.Name, c.Email)
	})
}

type gitLoginCmd struct {
	Host       string `arg:"" help:"The host, as github.com or git.example.org:8443."`
	User       string `placeholder:"USER" help:"The user name that goes with the token, where the host wants a certain one."`
	TokenStdin bool   `required:"" help:"Read the token from standard input."`
}

// Run keeps a token.
func (c *gitLoginCmd) Run(ctx context.Context, g *globals, std streams) error {
	token, err := readToken(std.In)
	if err != nil {
		return err
	}
	return gitSettings(g, std, func(api *client.Client) (*client.GitSettings, error) {
		return api.SetGitCredential(ctx, c.Host, c.User, token)
	})
}

type gitLogoutCmd struct {
	Host string `arg:"" help:"The host."`
}

// Run forgets a token.
func (c *gitLogoutCmd) Run(ctx context.Context, g *globals, std streams) error {
	return gitSettings(g, std, func(api *client.Client) (*client.GitSettings, error) {
		return api.RemoveGitCredential(ctx, c.Host)
	})
}

// gitSettings does something about git, and prints how it stands then.
func gitSettings(g *globals, std streams, do func(*client.Client) (*client.GitSettings, error)) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := do(api)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, s)
	}
	if s.Name == "" {
		_, _ = fmt.Fprintln(std.Out, "commits: by whom is not said; say it with: nixspace git identity NAME EMAIL")
	} else {
		_, _ = fmt.Fprintf(std.Out, "commits: by %s <%s>\n", s.Name, s.Email)
	}
	if len(s.Credentials) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "HOST\tUSER\tLENT LAST")
	for _, c := range s.Credentials {
		used := "never"
		if c.LastUsedAt != nil {
			used = c.LastUsedAt.Local().Format("2006-01-02 15:04")
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", c.Host, c.User, used)
	}
	return t.Flush()
}
