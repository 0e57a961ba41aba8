package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

type logsCmd struct {
	Session string `arg:"" help:"The session."`
	Service string `arg:"" optional:"" help:"One of its services. Without it, the machine itself: its kernel and agent."`
	Follow  bool   `short:"f" help:"Go on until interrupted."`
	Grep    string `short:"g" placeholder:"PATTERN" help:"Only lines that match this regular expression."`
}

// Run prints a log as it is; with --json, each line as an object.
func (c *logsCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	log, err := api.Logs(ctx, c.Session, c.Service, c.Follow)
	if err != nil {
		return err
	}
	defer log.Close()
	out := std.Out
	if g.JSON {
		lines := &jsonLines{enc: json.NewEncoder(std.Out)}
		defer lines.close()
		out = lines
	}
	var filter *grep
	if c.Grep != "" {
		if filter, err = newGrep(out, c.Grep); err != nil {
			return err
		}
		out = filter
	}
	_, err = io.Copy(out, log)
	if err == nil && filter != nil {
		err = filter.flush()
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("read log: %w", err)
	}
	return nil
}

// jsonLines turns text into one JSON object a line.
type jsonLines struct {
	enc *json.Encoder
	buf string
}

func (j *jsonLines) Write(p []byte) (int, error) {
	j.buf += string(p)
	for {
		line, rest, ok := strings.Cut(j.buf, "\n")
		if !ok && len(j.buf) < 1<<20 {
			return len(p), nil
		}
		if !ok {
			line, rest = j.buf, ""
		}
		j.buf = rest
		if err := j.enc.Encode(map[string]string{"line": line}); err != nil {
			return 0, err
		}
	}
}

func (j *jsonLines) close() {
	if j.buf != "" {
		_ = j.enc.Encode(map[string]string{"line": j.buf})
	}
}
