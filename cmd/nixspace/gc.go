package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type gcCmd struct {
	DryRun       bool `short:"n" help:"Only say what would go, how large it is and why."`
	OlderThan    age  `name:"older-than" default:"30d" placeholder:"AGE" help:"How long something must not have been used, or must have ended: 36h, 30d (${default})."`
	KeepSessions bool `help:"Leave sessions that are stopped or failed alone. Without it they go, with their disks."`
	Snapshots    bool `help:"Also snapshots that people took. Those of which the files are gone go in any case."`
}

// Run collects garbage.
func (c *gcCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	found, err := api.CollectGarbage(ctx, c.DryRun, time.Duration(c.OlderThan), !c.KeepSessions, c.Snapshots)
	if err != nil {
		return err
	}
	if g.JSON {
		err = printJSON(std.Out, found)
	} else {
		err = printCollection(std, found)
	}
	if err == nil && found.Failed > 0 {
		err = nixspace.Errorf(nixspace.KindUnavailable, "garbage_left", "%d of them could not be removed", found.Failed)
	}
	return err
}

func printCollection(std streams, c *client.Collection) error {
	if len(c.Items) == 0 {
		_, err := fmt.Fprintln(std.Out, "there is nothing that is not needed")
		return err
	}
	rows := make([][]string, len(c.Items))
	for i, g := range c.Items {
		used, why := "-", g.Reason
		if g.LastUsed != nil {
			used = ago(*g.LastUsed)
		}
		if g.Error != "" {
			why = "NOT REMOVED: " + firstLine(g.Error)
		}
		rows[i] = []string{g.Kind, g.Name, term.Bytes(g.Size), used, why}
	}
	if err := table(std.Out, []string{"KIND", "NAME", "SIZE", "LAST USED", "WHY"}, rows); err != nil {
		return err
	}
	verb := "removed"
	if c.DryRun {
		verb = "would be removed"
	}
	_, err := fmt.Fprintf(std.Out, "%d %s, %s\n", len(c.Items)-c.Failed, verb, term.Bytes(c.Size))
	return err
}

// age is a length of time that may have days.
type age time.Duration

// UnmarshalText reads "30d", "36h", "1d12h" or "0".
func (a *age) UnmarshalText(text []byte) error {
	s := string(text)
	days, rest, found := strings.Cut(s, "d")
	var d time.Duration
	if found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no age: write 30d or 36h", s)
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		rest = s
	}
	if rest != "" {
		r, err := time.ParseDuration(rest)
		if err != nil || r < 0 {
			return fmt.Errorf("%q is no age: write 30d or 36h", s)
		}
		d += r
	} else if !found {
		return fmt.Errorf("an age is missing: write 30d or 36h")
	}
	*a = age(d)
	return nil
}

// collectPolicy are the flags that say what garbage a server collects by itself.
type collectPolicy struct {
	Every     age  `name:"gc-every" env:"NIXSPACE_GC_EVERY" default:"24h" placeholder:"AGE" help:"How often what nothing needs any more is removed (${default}): images of layers, boot files and templates that no session needs, files that nobody owns, archives of code without a project. 0 never. See nixspace gc."`
	OlderThan age  `name:"gc-older-than" env:"NIXSPACE_GC_OLDER_THAN" default:"30d" placeholder:"AGE" help:"How long something must not have been used to be removed (${default})."`
	Sessions  bool `name:"gc-sessions" env:"NIXSPACE_GC_SESSIONS" help:"Remove sessions too that were stopped or failed so long ago, with their disks. Without it they stay until somebody removes them."`
}
