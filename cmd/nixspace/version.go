package main

import (
	"encoding/json"
	"fmt"
	"runtime"
)

type versionCmd struct{}

// Run prints the version.
func (*versionCmd) Run(g *globals, std streams) error {
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintln(std.Out, "nixspace", version)
	return err
}
