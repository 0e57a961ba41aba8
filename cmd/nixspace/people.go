package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type userCmd struct {
	List     userListCmd     `cmd:"" default:"1" help:"List the accounts of the server."`
	Invite   userInviteCmd   `cmd:"" help:"Print a link by which somebody gets an account, or a new password."`
	Set      userSetCmd      `cmd:"" help:"Change what somebody is on the server, or lock them out."`
	Password userPasswordCmd `cmd:"" help:"Give yourself another password."`
	TOTP     userTOTPCmd     `cmd:"" name:"totp" help:"Ask for one-time passwords when you sign in, or no more."`
}

// with runs f with a client of the server.
func (g *globals) with(f func(*client.Client) error) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	return f(api)
}

type userListCmd struct{}

// Run lists the accounts.
func (*userListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		users, err := api.Users(ctx)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]any{"users": users})
		}
		rows := make([][]string, len(users))
		for i, u := range users {
			state := ""
			if u.DisabledAt != nil {
				state = "locked out " + ago(*u.DisabledAt)
			}
			rows[i] = []string{u.Name, string(u.Standing), ago(u.CreatedAt), state}
		}
		return table(std.Out, []string{"USER", "STANDING", "SINCE", ""}, rows)
	})
}

type userInviteCmd struct {
	Name     string `arg:"" optional:"" help:"Whose account it makes, or gives a new password. Without it, whoever takes it chooses a name."`
	Standing string `enum:"admin,member,guest" default:"member" help:"What they are on the server: admin, member or guest (${default})."`
	Project  string `placeholder:"PROJECT" help:"A project that they are added to."`
	Role     string `enum:",guest,viewer,developer,maintainer,owner" default:"" placeholder:"ROLE" help:"Their role in the project: guest, viewer, developer, maintainer or owner (developer)."`
	Uses     int    `default:"1" placeholder:"N" help:"How often the link is good (${default})."`
}

// Run makes an invitation.
func (c *userInviteCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		in := client.InviteInput{Name: c.Name, Standing: c.Standing, Project: c.Project, Uses: c.Uses}
		if c.Project != "" {
			role := strings.ToUpper(c.Role)
			if role == "" {
				role = "DEVELOPER"
			}
			in.Role = &role
		}
		got, err := api.Invite(ctx, in)
		if err != nil {
			return err
		}
		link := api.URL() + "/join#" + got.Secret
		if g.JSON {
			return printJSON(std.Out, map[string]any{"url": link, "invitation": got.Credential})
		}
		_, err = fmt.Fprintf(std.Out, "%s\n", link)
		fmt.Fprintf(std.Err, "good for 7 days; open it in a browser, or: nixspace login '%s'\n", link)
		return err
	})
}

type userSetCmd struct {
	Name     string  `arg:"" help:"The user."`
	Standing *string `enum:"admin,member,guest" placeholder:"STANDING" help:"What they are on the server: admin, member or guest."`
	Email    *string `placeholder:"ADDRESS" help:"Their e-mail address."`
	Disable  bool    `xor:"able" help:"Lock them out. What they have open ends at once."`
	Enable   bool    `xor:"able" help:"Let them in again."`
}

// Run changes an account.
func (c *userSetCmd) Run(ctx context.Context, g *globals, std streams) error {
	change := map[string]any{}
	if c.Standing != nil {
		change["standing"] = strings.ToUpper(*c.Standing)
	}
	if c.Email != nil {
		change["email"] = *c.Email
	}
	if c.Disable || c.Enable {
		change["disabled"] = c.Disable
	}
	if len(change) == 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "nothing says what to change").WithHint("see nixspace user set --help")
	}
	return g.with(func(api *client.Client) error {
		u, err := api.SetUser(ctx, c.Name, change)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]any{"user": u})
		}
		state := "is"
		if u.DisabledAt != nil {
			state = "is locked out; is"
		}
		_, err = fmt.Fprintf(std.Out, "%s %s %s\n", term.Clean(u.Name), state, u.Standing)
		return err
	})
}

type userPasswordCmd struct {
	PasswordStdin bool `help:"Read the old and the new password from standard input, a line each."`
}

// Run gives the user another password.
func (c *userPasswordCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		me, err := api.Viewer(ctx)
		if err != nil {
			return err
		}
		in, old := &asker{std: std, lines: bufio.NewReader(std.In), quiet: c.PasswordStdin}, ""
		if !me.Local {
			if old, err = in.secret("Old password: "); err != nil {
				return err
			}
		}
		password, err := in.secret("New password: ")
		if err != nil {
			return err
		}
		if err := api.SetPassword(ctx, old, password); err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]string{"name": me.Name})
		}
		_, err = fmt.Fprintf(std.Out, "%s has a new password; other browsers are signed out\n", term.Clean(me.Name))
		return err
	})
}

type userTOTPCmd struct {
	Off bool `help:"Ask for none any more. It takes the password."`
}

// Run turns one-time passwords on or off.
func (c *userTOTPCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		in := &asker{std: std, lines: bufio.NewReader(std.In)}
		if c.Off {
			password, err := in.secret("Password: ")
			if err != nil {
				return err
			}
			if err := api.RemoveTOTP(ctx, password); err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.Out, "one-time passwords are not asked for any more")
			return err
		}
		t, err := api.EnrolTOTP(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Out, "Give this to your authenticator program:\n  %s\n  %s\n", t.Secret, t.URI)
		code, err := in.line("The one-time password that it shows: ")
		if err != nil {
			return err
		}
		if err := api.ConfirmTOTP(ctx, code); err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.Out, "one-time passwords are asked for from now on")
		return err
	})
}

type teamCmd struct {
	List   teamListCmd   `cmd:"" default:"1" help:"List teams."`
	Create teamCreateCmd `cmd:"" help:"Make a team."`
	Delete teamDeleteCmd `cmd:"" help:"Delete a team. Its members lose what they had by it."`
	Add    teamAddCmd    `cmd:"" help:"Add users to a team."`
	Remove teamRemoveCmd `cmd:"" help:"Take users out of a team."`
}

type teamListCmd struct{}

// Run lists teams.
func (*teamListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		teams, err := api.Teams(ctx)
		if err != nil {
			return err
		}
		return printTeams(g, std, teams)
	})
}

func printTeams(g *globals, std streams, teams []client.Team) error {
	if g.JSON {
		return printJSON(std.Out, map[string]any{"teams": teams})
	}
	rows := make([][]string, len(teams))
	for i, t := range teams {
		rows[i] = []string{t.Name, strings.Join(t.Members, ", ")}
	}
	return table(std.Out, []string{"TEAM", "MEMBERS"}, rows)
}

type teamCreateCmd struct {
	Name string `arg:"" help:"The team's name."`
}

// Run makes a team.
func (c *teamCreateCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		t, err := api.CreateTeam(ctx, c.Name)
		if err != nil {
			return err
		}
		return printTeams(g, std, []client.Team{*t})
	})
}

type teamDeleteCmd struct {
	Name string `arg:"" help:"The team."`
}

// Run deletes a team.
func (c *teamDeleteCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		t, err := api.DeleteTeam(ctx, c.Name)
		if err != nil {
			return err
		}
		return printTeams(g, std, []client.Team{*t})
	})
}

type teamAddCmd struct {
	Team  string   `arg:"" help:"The team."`
	Users []string `arg:"" name:"user" help:"The users."`
}

// Run adds users to a team.
func (c *teamAddCmd) Run(ctx context.Context, g *globals, std streams) error {
	return putTeam(ctx, g, std, c.Team, c.Users, true)
}

type teamRemoveCmd struct {
	Team  string   `arg:"" help:"The team."`
	Users []string `arg:"" name:"user" help:"The users."`
}

// Run takes users out of a team.
func (c *teamRemoveCmd) Run(ctx context.Context, g *globals, std streams) error {
	return putTeam(ctx, g, std, c.Team, c.Users, false)
}

func putTeam(ctx context.Context, g *globals, std streams, team string, users []string, in bool) error {
	return g.with(func(api *client.Client) error {
		var t *client.Team
		for _, u := range users {
			var err error
			if t, err = api.PutTeamMember(ctx, team, u, in); err != nil {
				return err
			}
		}
		return printTeams(g, std, []client.Team{*t})
	})
}

type memberCmd struct {
	List   memberListCmd   `cmd:"" help:"List the members of a project."`
	Add    memberAddCmd    `cmd:"" help:"Give users or teams a role in a project."`
	Remove memberRemoveCmd `cmd:"" help:"Take users or teams out of a project. What they have open in it ends at once."`
}

type memberListCmd struct {
	Project string `arg:"" help:"The project."`
}

// Run lists members.
func (c *memberListCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		members, err := api.Members(ctx, c.Project)
		if err != nil {
			return err
		}
		return printMembers(g, std, members)
	})
}

func printMembers(g *globals, std streams, members []client.Member) error {
	if g.JSON {
		return printJSON(std.Out, map[string]any{"members": members})
	}
	rows := make([][]string, len(members))
	for i, m := range members {
		what := "user"
		if m.Team {
			what = "team"
		}
		rows[i] = []string{m.Name, what, string(m.Role), ago(m.CreatedAt)}
	}
	return table(std.Out, []string{"MEMBER", "IS A", "ROLE", "SINCE"}, rows)
}

type memberAddCmd struct {
	Project string   `arg:"" help:"The project."`
	Names   []string `arg:"" name:"name" help:"Users or teams."`
	Role    string   `enum:"guest,viewer,developer,maintainer,owner" default:"developer" placeholder:"ROLE" help:"Their role: guest, viewer, developer, maintainer or owner (${default})."`
}

// Run gives a role.
func (c *memberAddCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		var out []client.Member
		for _, n := range c.Names {
			m, err := api.PutMember(ctx, c.Project, n, c.Role)
			if err != nil {
				return err
			}
			out = append(out, *m)
		}
		return printMembers(g, std, out)
	})
}

type memberRemoveCmd struct {
	Project string   `arg:"" help:"The project."`
	Names   []string `arg:"" name:"name" help:"Users or teams."`
}

// Run takes members out.
func (c *memberRemoveCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		var out []client.Member
		for _, n := range c.Names {
			m, err := api.RemoveMember(ctx, c.Project, n)
			if err != nil {
				return err
			}
			out = append(out, *m)
		}
		return printMembers(g, std, out)
	})
}

type visibilityCmd struct {
	Ref        string `arg:"" name:"environment" help:"The environment."`
	Visibility string `arg:"" enum:"private,team,public" help:"private: who made it, and owners of the project. team: the project's members. public: everybody who is signed in may read its definition."`
}

// Run says who may see an environment.
func (c *visibilityCmd) Run(ctx context.Context, g *globals, std streams) error {
	return g.with(func(api *client.Client) error {
		if err := api.SetVisibility(ctx, c.Ref, c.Visibility); err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]string{"environment": c.Ref, "visibility": c.Visibility})
		}
		_, err := fmt.Fprintf(std.Out, "%s is %s\n", term.Clean(c.Ref), c.Visibility)
		return err
	})
}
