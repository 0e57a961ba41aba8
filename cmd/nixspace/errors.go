package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// exitFailed is what exec, shell and run exit with when NixSpace itself failed
// where a command's own code was expected, as container tools do.
const exitFailed = 125

const exitCodesHelp = `Exit codes: 0 success, 1 internal error, 2 invalid use or input, 3 not found, 4 conflict or already there, 5 server or machine not reachable, 6 build failed, 7 not authorised, 8 limit reached, 130 interrupted. exec, shell and run exit with the command's own code, and with 125 when NixSpace itself failed.`

// code returns the exit code for an error.
func code(err error) int {
	var c exitError
	if err == nil {
		return 0
	}
	if errors.As(err, &c) {
		return int(c)
	}
	if errors.Is(err, context.Canceled) {
		return 130
	}
	var there failedError
	if errors.As(err, &there) {
		return exitFailed
	}
	switch nixspace.ErrorKind(err) {
	case nixspace.KindInvalid:
		return 2
	case nixspace.KindNotFound:
		return 3
	case nixspace.KindExists, nixspace.KindConflict:
		return 4
	case nixspace.KindUnavailable:
		return 5
	case nixspace.KindBuild:
		return 6
	case nixspace.KindUnauthorized, nixspace.KindForbidden:
		return 7
	case nixspace.KindLimit:
		return 8
	case nixspace.KindCanceled:
		return 130
	}
	return 1
}

// report prints an error for people or, with asJSON, for programs, and returns
// the exit code.
func report(w io.Writer, asJSON bool, err error) int {
	c := code(err)
	var plain exitError
	if err == nil || errors.As(err, &plain) {
		return c
	}
	e := &nixspace.Error{Kind: nixspace.KindInternal, Code: "internal", Message: err.Error()}
	if !errors.As(err, &e) && errors.Is(err, context.Canceled) {
		e = &nixspace.Error{Kind: nixspace.KindCanceled, Code: "interrupted", Message: "interrupted"}
	}
	if asJSON {
		type body struct {
			Kind    nixspace.Kind  `json:"kind"`
			Code    string         `json:"code"`
			Message string         `json:"message"`
			Hint    string         `json:"hint,omitempty"`
			Details map[string]any `json:"details,omitempty"`
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]body{"error": {e.Kind, e.Code, e.Message, e.Hint, e.Details}})
		return c
	}
	fmt.Fprintf(w, "error: %s\n", e.Message)
	// A line of the user's manifest, with a mark under what is wrong.
	if excerpt, ok := e.Details["excerpt"].(string); ok {
		for line := range strings.Lines(excerpt) {
			fmt.Fprintf(w, "  %s\n", term.Clean(strings.TrimSuffix(line, "\n")))
		}
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", e.Hint)
	}
	return c
}
