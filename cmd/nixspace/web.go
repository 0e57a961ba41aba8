package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace/api/auth"
)

type webCmd struct{}

// Run prints the address that opens the web interface, signed in.
func (*webCmd) Run(g *globals, std streams) error {
	address, token, err := g.server()
	if err != nil {
		return err
	}
	link := address
	if !strings.HasPrefix(token, "nxt_") { // the local owner's
		link += "/sign-in#" + auth.SignInCode(token)
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]string{"url": link})
	}
	_, err = fmt.Fprintln(std.Out, link)
	return err
}
