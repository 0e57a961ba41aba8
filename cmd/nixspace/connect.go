package main

import (
	"cmp"
	"strings"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/internal/statedir"
)

// connect returns a client of the server that the flags name, or else of the
// one that left its address in the state directory.
func (g *globals) connect() (*client.Client, error) {
	address, token, err := g.server()
	if err != nil {
		return nil, err
	}
	return client.New(address, token)
}

// server returns the address and the token of that server.
func (g *globals) server() (address, token string, err error) {
	address, token = g.URL, g.Token
	dir, err := g.stateDir()
	if err != nil && address == "" {
		return "", "", err
	}
	if address == "" {
		s, err := statedir.FindServer(dir)
		if err != nil {
			// No server here: the one that somebody signed in to.
			if l, loginErr := readLogins(); loginErr == nil && g.State == "" {
				if found, ok := l.find(""); ok {
					return found.URL, cmp.Or(token, found.Token), nil
				}
			}
			return "", "", err
		}
		address = s.URL
		if token == "" {
			token = s.Token
		}
	} else if token == "" && err == nil {
		// The token of the local server, but only for the local server.
		if s, err := statedir.FindServer(dir); err == nil && s.URL == address {
			token = s.Token
		}
	}
	if token == "" {
		if l, err := readLogins(); err == nil {
			if found, ok := l.find(strings.TrimSuffix(address, "/")); ok {
				token = found.Token
			}
		}
	}
	return address, token, nil
}
