package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nixspace/nixspace/cmd/nixspace/doctor"
)

type doctorCmd struct {
	PGBin string `name:"pg-bin" env:"NIXSPACE_PG_BIN" type:"path" placeholder:"DIR" help:"The directory with the programs of the private PostgreSQL."`
	Accel string `name:"accel" env:"NIXSPACE_ACCEL" enum:"auto,kvm,tcg" default:"auto" placeholder:"auto|kvm|tcg" help:"How machines shall be run."`
}

// Run checks the machine and exits with 5 when NixSpace cannot work on it.
func (c *doctorCmd) Run(ctx context.Context, g *globals, std streams) error {
	state, err := g.stateDir()
	if err != nil {
		return err
	}
	findings := doctor.Run(ctx, doctor.Config{State: state, PGBin: c.PGBin, Accel: c.Accel})
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.JSON {
		enc := json.NewEncoder(std.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"ok": !doctor.Failed(findings), "checks": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			mark := map[doctor.Status]string{doctor.OK: "✓", doctor.Warn: "!", doctor.Fail: "✗"}[f.Status]
			if _, err := fmt.Fprintf(std.Out, "%s %-4s %-16s %s\n", mark, f.Status, f.Check, f.Detail); err != nil {
				return err
			}
			if f.Hint != "" && f.Status != doctor.OK {
				if _, err := fmt.Fprintf(std.Out, "%24s%s\n", "", f.Hint); err != nil {
					return err
				}
			}
		}
	}
	if doctor.Failed(findings) {
		return exitError(5)
	}
	return nil
}
