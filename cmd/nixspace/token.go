package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type tokenCmd struct {
	List   tokenListCmd   `cmd:"" default:"1" help:"List what lets you in: tokens, browsers, invitations."`
	Create tokenCreateCmd `cmd:"" help:"Make a token for a program. It is printed once."`
	Revoke tokenRevokeCmd `cmd:"" help:"End tokens, browsers or invitations. What is open by them ends at once."`
}

type tokenListCmd struct{}

// Run lists credentials.
func (*tokenListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		all, err := api.Tokens(ctx)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]any{"tokens": all})
		}
		rows := make([][]string, len(all))
		for i, t := range all {
			role, ends, used := "", "never", "never"
			if t.Cap != nil {
				role = string(*t.Cap)
			}
			if t.ExpiresAt != nil {
				ends = t.ExpiresAt.Local().Format(time.DateOnly)
			}
			if t.LastUsedAt != nil {
				used = ago(*t.LastUsedAt)
			}
			name := t.Name
			if t.Current {
				name += " (this one)"
			}
			rows[i] = []string{name, string(t.Kind), role, ends, used, t.MadeFrom, string(t.ID)}
		}
		return table(std.Out, []string{"NAME", "KIND", "AT MOST", "ENDS", "USED", "MADE FROM", "ID"}, rows)
	})
}

type tokenCreateCmd struct {
	Name     string   `arg:"" help:"What it is for."`
	Role     string   `enum:",guest,viewer,developer,maintainer,owner" default:"" placeholder:"ROLE" help:"The most that it may do in any project: guest, viewer, developer, maintainer or owner. Without it, all that you may."`
	Projects []string `name:"project" placeholder:"PROJECT" help:"A project where it is good. Without one, it is good everywhere."`
	Days     int      `default:"90" placeholder:"N" help:"How many days it is good (${default})."`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		got, err := api.CreateToken(ctx, c.Name, c.Role, c.Projects, c.Days)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, got)
		}
		fmt.Fprintf(std.Err, "the token %s; it is not shown again:\n", term.Clean(got.Credential.Name))
		_, err = fmt.Fprintln(std.Out, got.Secret)
		return err
	})
}

type tokenRevokeCmd struct {
	Tokens []string `arg:"" name:"token" help:"Names or IDs, as nixspace token list shows them."`
}

// Run ends credentials.
func (c *tokenRevokeCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		for _, ref := range c.Tokens {
			t, err := api.RevokeToken(ctx, ref)
			if err != nil {
				return err
			}
			if g.JSON {
				err = printJSON(std.Out, t)
			} else {
				_, err = fmt.Fprintf(std.Out, "%s %s is good no more\n", t.Kind, term.Clean(t.Name))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type auditCmd struct {
	Actor     string        `placeholder:"USER" help:"Only what this user did."`
	Operation string        `placeholder:"NAME" help:"Only this operation, as docs/permissions.md names it."`
	Target    string        `placeholder:"REF" help:"Only what was done to this."`
	Since     time.Duration `placeholder:"24h" help:"Only what was done within so long."`
	Limit     int           `short:"n" default:"0" placeholder:"N" help:"At most so many, the oldest first. Without it, all."`
	CSV       bool          `name:"csv" help:"Print CSV, for a spreadsheet."`
}

// auditPage is how many entries are asked for at a time.
const auditPage = 1000

// Run prints the audit trail.
func (c *auditCmd) Run(ctx context.Context, g *globals, std streams) error {
	filter := map[string]any{"actor": c.Actor, "operation": c.Operation, "target": c.Target}
	if c.Since < 0 || c.Limit < 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "--since and --limit cannot be less than 0")
	}
	if c.Since > 0 {
		filter["since"] = time.Now().Add(-c.Since).UTC().Format(time.RFC3339)
	}
	return g.with(func(api *client.Client) error {
		var all []client.AuditEntry
		for after := int64(0); ; {
			n := auditPage
			if c.Limit > 0 {
				n = min(n, c.Limit-len(all))
			}
			page, err := api.Audit(ctx, filter, after, n)
			if err != nil {
				return err
			}
			all = append(all, page...)
			if len(page) < n || c.Limit > 0 && len(all) >= c.Limit {
				break
			}
			after = page[len(page)-1].Seq
		}
		return printAudit(g, std, all, c.CSV)
	})
}

func printAudit(g *globals, std streams, all []client.AuditEntry, asCSV bool) error {
	if g.JSON {
		return printJSON(std.Out, map[string]any{"audit": all})
	}
	rows := make([][]string, len(all))
	for i, e := range all {
		rows[i] = []string{e.At.UTC().Format(time.RFC3339), e.Actor, e.Operation, e.Target, e.Outcome, e.From}
	}
	header := []string{"AT", "WHO", "OPERATION", "WHAT", "OUTCOME", "FROM"}
	if !asCSV {
		return table(std.Out, header, rows)
	}
	w := csv.NewWriter(std.Out)
	_ = w.Write(header) // Flush tells of errors
	for _, r := range rows {
		for i := range r {
			r[i] = inert(r[i])
		}
		_ = w.Write(r)
	}
	w.Flush()
	return w.Error()
}

// inert makes text that a spreadsheet would take for a formula plain text.
func inert(s string) string {
	s = term.Clean(s)
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
