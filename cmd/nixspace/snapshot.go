package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type snapshotCmd struct {
	Session string `arg:"" help:"The session: one that runs, is hibernated or is stopped."`
	Name    string `placeholder:"NAME" help:"The snapshot's name, unique in the environment (the next of s1, s2…)."`
}

// Run takes a snapshot.
func (c *snapshotCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := api.TakeSnapshot(ctx, c.Session, c.Name)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"snapshot": s})
	}
	pause := ""
	if s.PauseMs > 0 {
		pause = fmt.Sprintf(", after a pause of %s", term.Duration(time.Duration(s.PauseMs*float64(time.Millisecond))))
	}
	_, err = fmt.Fprintf(std.Out, "snapshot %s  %s of %s%s\n", s.Ref, holds(s), s.Session, pause)
	return err
}

// holds says what is in a snapshot.
func holds(s *client.Snapshot) string {
	if s.Memory {
		return "memory and disk"
	}
	return "disk (" + s.Consistency + ")"
}

type snapshotsCmd struct {
	List snapshotsListCmd `cmd:"" default:"withargs" help:"List snapshots, each below the one that its session began from."`
	Rm   snapshotsRmCmd   `cmd:"" help:"Delete snapshots."`
}

type snapshotsListCmd struct {
	Of  string `arg:"" optional:"" help:"Only those of this environment or session."`
	All bool   `short:"a" help:"Also those that forks were made from."`
}

// Run lists snapshots as trees.
func (c *snapshotsListCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	list, err := api.Snapshots(ctx, c.Of, c.All)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"snapshots": list})
	}
	return printSnapshots(std.Out, list)
}

func printSnapshots(w io.Writer, list []client.Snapshot) error {
	slices.Reverse(list) // the oldest first, and so parents before children
	listed := map[nixspace.ID]bool{}
	for _, s := range list {
		listed[s.ID] = true
	}
	var rows [][]string
	var below func(parent nixspace.ID, indent string)
	below = func(parent nixspace.ID, indent string) {
		for i := range list {
			s := &list[i]
			of := nixspace.ID("")
			if s.Parent != nil && listed[s.Parent.ID] {
				of = s.Parent.ID
			}
			if of != parent {
				continue
			}
			what := holds(s)
			if !is(s, nixspace.SnapshotReady) {
				what = string(s.State)
			}
			rows = append(rows, []string{indent + s.Ref, s.Session, what, term.Bytes(s.Size), term.Bytes(s.Size - s.Shared), ago(s.CreatedAt)})
			mark := "└ "
			if indent != "" {
				mark = "  " + indent
			}
			below(s.ID, mark)
		}
	}
	below("", "")
	return table(w, []string{"SNAPSHOT", "OF SESSION", "HOLDS", "SIZE", "ITS OWN", "TAKEN"}, rows)
}

func is(s *client.Snapshot, state nixspace.SnapshotState) bool {
	return string(s.State) == string(state)
}

type snapshotsRmCmd struct {
	Snapshots []string `arg:"" name:"snapshot" help:"The snapshots, as shop@s1."`
}

// Run deletes snapshots, also after one failed, and returns the first error.
func (c *snapshotsRmCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var first error
	removed := []*client.Snapshot{}
	for _, ref := range c.Snapshots {
		s, err := api.RemoveSnapshot(ctx, ref)
		switch {
		case err != nil && first == nil:
			first = err
		case err != nil && !g.JSON:
			report(std.Err, false, err)
		case err == nil:
			removed = append(removed, s)
			if !g.JSON {
				fmt.Fprintf(std.Out, "snapshot %s  removed\n", s.Ref)
			}
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"snapshots": removed}); err != nil {
			return err
		}
	}
	return first
}
