// Command nixspace is NixSpace: server, command line and session runner in one
// binary.
//
// Every verb has a file of its own, with a struct that kong fills and a Run
// method that takes everything it touches from its arguments.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// version is set when a release is linked.
var version = "unknown"

// commands is the command tree.
type commands struct {
	globals

	Up     upCmd     `cmd:"" group:"server" help:"Start the server, with everything that it needs."`
	Web    webCmd    `cmd:"" group:"server" help:"Print the address that opens the web interface, signed in."`
	Doctor doctorCmd `cmd:"" group:"server" help:"Check whether this machine has what NixSpace needs."`
	Runner runnerCmd `cmd:"" hidden:"" help:"Run the machine of one session (started by the server)."`

	Create    createCmd    `cmd:"" group:"environments" help:"Make a project and its first environment from code, wherever it is."`
	Templates templatesCmd `cmd:"" group:"environments" help:"List the projects to begin with."`
	Init      initCmd      `cmd:"" group:"environments" help:"Write a nixspace.toml for a folder, from what its files say."`
	List      listCmd      `cmd:"" group:"environments" aliases:"ls" help:"List environments, projects or sessions."`
	Show      showCmd      `cmd:"" group:"environments" help:"Show an environment, a version or a session."`
	Branch    branchCmd    `cmd:"" group:"environments" help:"Make an environment from another one."`
	Set       setCmd       `cmd:"" group:"environments" help:"Change values of an environment."`
	Add       addCmd       `cmd:"" group:"environments" help:"Add packages to an environment."`
	Remove    removeCmd    `cmd:"" group:"environments" help:"Remove packages from an environment."`
	Flake     flakeCmd     `cmd:"" group:"environments" help:"Show and change the flake of an environment that is made of one."`
	Build     buildCmd     `cmd:"" group:"environments" help:"Build an environment or version."`
	Pull      pullCmd      `cmd:"" group:"environments" help:"Give an environment newer code, or other code."`
	Prebuild  prebuildCmd  `cmd:"" group:"environments" help:"Make an environment's code ready before it is opened; list, follow and delete that."`
	Diff      diffCmd      `cmd:"" group:"environments" help:"Show what differs between two environments or versions."`
	Why       whyCmd       `cmd:"" group:"environments" help:"Show why a package is in an environment."`
	Suggest   suggestCmd   `cmd:"" group:"environments" help:"Show what could be better about an environment, and do it in a branch."`
	Export    exportCmd    `cmd:"" group:"environments" help:"Write an environment into a file, or as a flake."`
	Generate  generateCmd  `cmd:"" group:"environments" help:"Write an environment as a Dev Container, a Dockerfile or for direnv."`
	Import    importCmd    `cmd:"" group:"environments" help:"Make an environment out of a file."`

	Rename    renameCmd    `cmd:"" group:"environments" help:"Give an environment another name."`
	Delete    deleteCmd    `cmd:"" group:"environments" help:"Delete environments; undelete brings them back."`
	Undelete  undeleteCmd  `cmd:"" group:"environments" help:"Bring a deleted environment back."`
	Protect   protectCmd   `cmd:"" group:"environments" help:"Let only merges change an environment."`
	Unprotect unprotectCmd `cmd:"" group:"environments" help:"Let an environment be changed directly again."`

	Log        logCmd        `cmd:"" group:"history" help:"Print versions, newest first."`
	Reflog     reflogCmd     `cmd:"" group:"history" help:"Print where an environment's head was."`
	Merge      mergeCmd      `cmd:"" group:"history" help:"Merge an environment or version into an environment."`
	Rollback   rollbackCmd   `cmd:"" group:"history" help:"Go back to an earlier version, in a new one."`
	Revert     revertCmd     `cmd:"" group:"history" help:"Undo the change of one version."`
	CherryPick cherryPickCmd `cmd:"" group:"history" help:"Make the change of one version in another environment."`
	Blame      blameCmd      `cmd:"" group:"history" help:"Print which version brought each package and setting."`
	Tag        tagCmd        `cmd:"" group:"history" help:"Name a version, or list such names."`
	Untag      untagCmd      `cmd:"" group:"history" help:"Take names of versions away."`

	Run         runCmd         `cmd:"" group:"sessions" help:"Run a command in a new session of each environment, side by side."`
	Start       startCmd       `cmd:"" group:"sessions" help:"Start a session."`
	Exec        execCmd        `cmd:"" group:"sessions" help:"Run a command in a session."`
	Shell       shellCmd       `cmd:"" group:"sessions" help:"Open a shell in a session."`
	Open        openCmd        `cmd:"" name:"open" group:"sessions" help:"Open a session in VS Code, in a browser, or say how to in a desktop editor."`
	SSH         sshCmd         `cmd:"" name:"ssh" group:"sessions" help:"Open a session by SSH, or make sessions hosts of this user's SSH."`
	Git         gitCmd         `cmd:"" name:"git" group:"sessions" help:"Say who you are to git in sessions, and keep tokens for it."`
	Preview     previewCmd     `cmd:"" group:"sessions" help:"Print the addresses of what a session serves."`
	Forward     forwardCmd     `cmd:"" group:"sessions" help:"Make ports of a session ports of this machine."`
	Cp          cpCmd          `cmd:"" group:"sessions" help:"Copy files to or from a session."`
	Logs        logsCmd        `cmd:"" group:"sessions" help:"Print the log of a session or of one of its services."`
	Services    servicesCmd    `cmd:"" group:"sessions" help:"List the services of a session and how they stand; start, stop or restart some of them."`
	Network     networkCmd     `cmd:"" group:"sessions" help:"Show what a session has reached outside of itself, and tried to."`
	Stop        stopCmd        `cmd:"" group:"sessions" help:"Stop sessions."`
	Hibernate   hibernateCmd   `cmd:"" group:"sessions" help:"Put sessions to rest, with their memory."`
	Resume      resumeCmd      `cmd:"" group:"sessions" help:"Continue hibernated sessions."`
	Fork        forkCmd        `cmd:"" group:"sessions" help:"Copy a session, with its memory and its disk."`
	Snapshot    snapshotCmd    `cmd:"" group:"sessions" help:"Take a snapshot of a session."`
	Snapshots   snapshotsCmd   `cmd:"" group:"sessions" help:"List and delete snapshots."`
	Restore     restoreCmd     `cmd:"" group:"sessions" help:"Start a new session from a snapshot."`
	MigrateData migrateDataCmd `cmd:"" group:"sessions" help:"Carry the data of one session's PostgreSQL over to another one's."`
	Recover     recoverCmd     `cmd:"" group:"sessions" help:"End what is left of sessions that are stuck."`
	Rm          rmCmd          `cmd:"" group:"sessions" help:"Delete sessions with their disks."`

	Compare     compareCmd     `cmd:"" group:"experiments" help:"Measure a command across environments, with statistics."`
	Bisect      bisectCmd      `cmd:"" group:"experiments" help:"Find the version, and the change in it, that broke a command."`
	Check       checkCmd       `cmd:"" group:"experiments" help:"Run the checks of environments."`
	Upgrades    upgradesCmd    `cmd:"" group:"experiments" help:"Try newer versions of what an environment uses."`
	Experiments experimentsCmd `cmd:"" group:"experiments" help:"List what was compared, bisected, checked and run side by side; show it, go on with it."`
	Login       loginCmd       `cmd:"" group:"people" help:"Sign in to a server of a team."`
	Logout      logoutCmd      `cmd:"" group:"people" help:"Sign out of a server."`
	Token       tokenCmd       `cmd:"" group:"people" help:"Make, list and end what lets programs and browsers in."`
	User        userCmd        `cmd:"" group:"people" help:"Invite people, list them, and change what they are."`
	Team        teamCmd        `cmd:"" group:"people" help:"Make and change teams."`
	Member      memberCmd      `cmd:"" group:"people" help:"Say who may do what in a project."`
	Visibility  visibilityCmd  `cmd:"" group:"people" help:"Say who may see an environment."`
	Audit       auditCmd       `cmd:"" group:"people" help:"Print who did what, when and from where."`

	GC         gcCmd         `cmd:"" name:"gc" group:"other" help:"Remove what nothing needs any more: old sessions, files, links; or say what would go."`
	Catalog    catalogCmd    `cmd:"" group:"other" help:"List, search, fetch and update packages."`
	Completion completionCmd `cmd:"" group:"other" help:"Print a script that completes this command line in a shell."`
	Version    versionCmd    `cmd:"" group:"other" help:"Print the version."`
}

// globals are the flags that every verb takes.
type globals struct {
	JSON  bool   `name:"json" help:"Print JSON."`
	URL   string `name:"url" env:"NIXSPACE_URL" placeholder:"URL" help:"The server's address. Without it, the server of the state directory."`
	Token string `name:"token" env:"NIXSPACE_TOKEN" placeholder:"TOKEN" help:"The token for the server. Better given by NIXSPACE_TOKEN: arguments are seen by other users."`
	State string `name:"state" env:"NIXSPACE_STATE" type:"path" placeholder:"DIR" help:"The state directory (${state_dir})."`
}

// stateDir returns where the server keeps its state.
func (g *globals) stateDir() (string, error) {
	if g.State != "" {
		return g.State, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/nixspace", nil
	}
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return d + "/nixspace", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, "state_dir_unknown", "no home directory is known: %w", err).
			WithHint("give the state directory with --state or NIXSPACE_STATE")
	}
	return home + "/.local/share/nixspace", nil
}

// streams are what a verb reads from and writes to.
type streams struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // progress and errors
}

// commandTaker is a verb that runs a command of the user's: whatever stands
// after "--" on the command line.
type commandTaker interface{ setCommand(argv []string) }

// exitError is an error that ends the program with a code of its own and no
// message: the code of a command that ran in a session.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func main() {
	evalbox.Main() // does not return where this process is the first one of a sandbox
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, std streams) (code int) {
	// kong's own way to end early (after --help) is to exit.
	type exit struct{ code int }
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = e.code
		}
	}()
	var tree commands
	parser, err := newParser(&tree, std, func(code int) { panic(exit{code}) })
	if err != nil {
		return report(std.Err, false, err)
	}
	kctx, err := parse(parser, args)
	if err != nil {
		return report(std.Err, tree.JSON, usageError(err))
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	kctx.Bind(std, &tree.globals, parser)
	return report(std.Err, tree.JSON, kctx.Run())
}

func newParser(tree *commands, std streams, exit func(int)) (*kong.Kong, error) {
	return kong.New(tree,
		kong.Name("nixspace"),
		kong.Description("Branch whole development environments the way you branch code, and run any of them as a microVM.\n\n"+exitCodesHelp),
		kong.Writers(std.Out, std.Err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Server"},
			{Key: "environments", Title: "Environments"},
			{Key: "history", Title: "History"},
			{Key: "sessions", Title: "Sessions"},
			{Key: "experiments", Title: "Experiments"},
			{Key: "people", Title: "People"},
			{Key: "other", Title: "Other"},
		}),
		kong.Vars{"state_dir": "/var/lib/nixspace for root, else ~/.local/share/nixspace"},
	)
}

// parse splits the command line at the first "--" for verbs that run a command.
// kong would join what stands before and after it.
func parse(parser *kong.Kong, args []string) (*kong.Context, error) {
	for i, a := range args {
		if a != "--" {
			continue
		}
		kctx, err := parser.Parse(args[:i])
		if err != nil {
			break
		}
		if t, ok := kctx.Selected().Target.Addr().Interface().(commandTaker); ok {
			t.setCommand(args[i+1:])
			return kctx, nil
		}
		break
	}
	return parser.Parse(args)
}

func usageError(err error) error {
	var e *nixspace.Error
	if errors.As(err, &e) {
		return err
	}
	help := "see nixspace --help"
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil {
		if node := p.Context.Selected(); node != nil {
			help = "see nixspace " + node.Name + " --help"
			if _, ok := node.Target.Addr().Interface().(commandTaker); ok && strings.HasPrefix(err.Error(), "unexpected argument") {
				help = "put -- before the command: nixspace " + node.Name + " … -- COMMAND"
			}
		}
	}
	return nixspace.Errorf(nixspace.KindInvalid, "usage", "%s", err.Error()).WithHint("%s", help)
}
