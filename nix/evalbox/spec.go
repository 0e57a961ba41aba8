package evalbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The tasks of a box.
const (
	taskInspect  = "inspect"  // what the flake says of its inputs and settings
	taskEvaluate = "evaluate" // lock it, and evaluate its output
	taskProbe    = "probe"    // only whether Nix runs
)

// spec is what the outside tells the inside.
type spec struct {
	Task      string            `json:"task"`
	Nix       string            `json:"nix"`
	Config    string            `json:"config"`  // NIX_CONFIG
	Visible   []string          `json:"visible"` // shown read-only; what does not exist is left out
	UserNS    bool              `json:"user_ns"`
	UID       int               `json:"uid"` // that Nix runs as, where there is no user namespace
	Files     map[string][]byte `json:"files"`
	System    string            `json:"system"`
	Trees     []Tree            `json:"trees"`
	Registry  string            `json:"registry"`
	Overrides map[string]string `json:"overrides"`
	Limits    Limits            `json:"limits"`
}

// report is what the inside says at its end.
type report struct {
	// Failed is why the box could not be made; empty otherwise.
	Failed string `json:"failed,omitempty"`
	// Broken is what NixSpace itself could not do in it; empty otherwise.
	Broken string `json:"broken,omitempty"`
	// Step is the step of Nix that failed.
	Step        string            `json:"step,omitempty"`
	Stderr      string            `json:"stderr,omitempty"` // of the step that failed
	Exit        int               `json:"exit,omitempty"`
	Signal      string            `json:"signal,omitempty"`
	Overflow    bool              `json:"overflow,omitempty"` // it printed too much
	TooLarge    bool              `json:"too_large,omitempty"`
	Unreadable  string            `json:"unreadable,omitempty"` // a derivation that is none, and why
	NoSpace     bool              `json:"no_space,omitempty"`
	Header      *header           `json:"header,omitempty"`
	Found       *found            `json:"found,omitempty"`
	Lock        []byte            `json:"lock,omitempty"`
	Derivations map[string][]byte `json:"derivations,omitempty"`
	Sources     map[string][]byte `json:"sources,omitempty"`
}

// header is what a flake says of itself without its outputs.
type header struct {
	Description string           `json:"description"`
	Settings    []string         `json:"settings"` // the names in nixConfig
	Inputs      map[string]input `json:"inputs"`
}

// input is one input as a flake writes it.
type input struct {
	URL     *string          `json:"url"`
	Type    *string          `json:"type"`
	Follows *string          `json:"follows"`
	ID      *string          `json:"id"`
	Path    *string          `json:"path"`
	Inputs  map[string]input `json:"inputs"`
}

// found is the output that was evaluated.
type found struct {
	Attr    string `json:"attr"`
	Shell   bool   `json:"shell"`
	System  string `json:"system"`
	DrvPath string `json:"drvPath"`
	Output  string `json:"output"`
	OutPath string `json:"path"`
}

// The box's own places.
const (
	flakeDir     = "/flake"
	homeDir      = "/home"
	registryFile = "/registry.json"
)

func (b *Box) spec(r Request) *spec {
	settings := map[string]string{
		"experimental-features":        "nix-command flakes",
		"substituters":                 "",
		"flake-registry":               registryFile,
		"accept-flake-config":          "false",
		"allow-import-from-derivation": "false",
		"build-users-group":            "",
		"sandbox":                      "false", // nothing is built
		"max-jobs":                     "0",
		"builders":                     "",
		"eval-cache":                   "false",
		"fsync-metadata":               "false",
		"warn-dirty":                   "false",
		"connect-timeout":              "1",
		"download-attempts":            "1",
		"nix-path":                     "",
		"allow-unsafe-native-code-during-evaluation": "false",
	}
	maps.Copy(settings, b.cfg.Settings)
	var config strings.Builder
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&config, "%s = %s\n", k, strings.ReplaceAll(settings[k], "\n", " "))
	}
	return &spec{
		Nix: b.cfg.Nix, Config: config.String(), Files: r.Files, System: r.System, Trees: r.Trees,
		Registry: registry(r.Names), Overrides: r.Overrides, Limits: b.cfg.Limits,
	}
}

// registry writes a registry of flakes (version 2).
func registry(names map[string]string) string {
	var flakes []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		flakes = append(flakes, fmt.Sprintf(`{"from":{"type":"indirect","id":%q},"to":{"type":"path","path":%q},"exact":true}`, name, names[name]))
	}
	return `{"version":2,"flakes":[` + strings.Join(flakes, ",") + "]}\n"
}
