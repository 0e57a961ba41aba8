package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

// serverFile is <state>/server.json: where the server of a state directory
// listens, and the token that it takes. Only its owner can read it.
type serverFile struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

const serverFileName = "server.json"

// write puts the file into a state directory, in one step.
func (s serverFile) write(dir string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode server.json: %w", err)
	}
	f, err := os.CreateTemp(dir, ".server-*.json") // mode 0600
	if err != nil {
		return fmt.Errorf("write server.json: %w", err)
	}
	defer os.Remove(f.Name()) // fails once it was renamed
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write server.json: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, serverFileName)); err != nil {
		return fmt.Errorf("write server.json: %w", err)
	}
	return nil
}

func readServerFile(dir string) (serverFile, error) {
	var s serverFile
	name := filepath.Join(dir, serverFileName)
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nixspace.Errorf(nixspace.KindUnavailable, "server_not_running", "no server runs with the state directory %s", dir).
			WithHint("start it with: nixspace up; or name another one with --state or --url")
	case errors.Is(err, fs.ErrPermission):
		return s, nixspace.Errorf(nixspace.KindForbidden, "server_of_another_user", "the server with the state directory %s belongs to another user", dir).
			WithHint("run this as the user who started it, or give --url and NIXSPACE_TOKEN")
	case err != nil:
		return s, fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(b, &s); err != nil || s.URL == "" {
		return s, nixspace.Errorf(nixspace.KindUnavailable, "server_file_broken", "%s says no address", name).
			WithHint("start the server again: nixspace up")
	}
	return s, nil
}

// connect returns a client of the server that the flags name, or else of the
// one that left its address in the state directory.
func (g *globals) connect() (*client.Client, error) {
	address, token := g.URL, g.Token
	dir, err := g.stateDir()
	if err != nil && address == "" {
		return nil, err
	}
	if address == "" {
		s, err := readServerFile(dir)
		if err != nil {
			return nil, err
		}
		address = s.URL
		if token == "" {
			token = s.Token
		}
	} else if token == "" && err == nil {
		// The token of the local server, but only for the local server.
		if s, err := readServerFile(dir); err == nil && s.URL == address {
			token = s.Token
		}
	}
	return client.New(address, token)
}
