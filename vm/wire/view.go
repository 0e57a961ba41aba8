package wire

import (
	"context"
	"strings"
	"unicode"

	"github.com/nixspace/nixspace"
)

// The bounds of what a guest may say of itself.
const (
	viewPorts     = 256
	viewTerminals = 64
	viewViewers   = 64
	viewText      = 64 // bytes of a name
)

// WatchView reports what goes on in the guest, first as it stands and then at each
// change, until ctx ends, whose error it then returns. What a guest says is brought
// into bounds, and its texts are for people to read: without control characters.
func (c *Client) WatchView(ctx context.Context, report func(nixspace.MachineView)) error {
	conn, err := c.start(ctx, ServiceView, nil, nil)
	if err != nil {
		return err
	}
	return followJSON(ctx, conn, func(v nixspace.MachineView) { report(bounded(v)) })
}

func bounded(v nixspace.MachineView) nixspace.MachineView {
	var out nixspace.MachineView
	for _, p := range v.Ports {
		if p.Port >= 1 && p.Port <= 65535 && p.PID >= 0 && len(out.Ports) < viewPorts {
			p.Process = readable(p.Process)
			out.Ports = append(out.Ports, p)
		}
	}
	for _, t := range v.Terminals {
		if t.Name == "" || len(out.Terminals) == viewTerminals {
			continue
		}
		out.Terminals = append(out.Terminals, boundedTerminal(t))
	}
	return out
}

func boundedTerminal(t nixspace.TerminalStatus) nixspace.TerminalStatus {
	t.Name, t.ID, t.Process = readable(t.Name), readable(t.ID), readable(t.Process)
	t.Viewers = t.Viewers[:min(len(t.Viewers), viewViewers)]
	for i := range t.Viewers {
		t.Viewers[i].Who = readable(t.Viewers[i].Who)
	}
	return t
}

// readable returns text without what is no text, and cut to its bounds.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if len(s) > viewText {
		s = strings.ToValidUTF8(s[:viewText], "")
	}
	return s
}
