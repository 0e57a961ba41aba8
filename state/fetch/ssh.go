package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nixspace/nixspace"
)

// knownHosts are the keys of the large forges, as they publish them. Another
// host's key is learnt when it is first met, and must stay the same from then on.
const knownHosts = `github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
gitlab.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf
bitbucket.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO
codeberg.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIVIC02vnjFyL+I4RHfvIGNtOgJMe769VTF1VR4EB3ZB
`

// overSSH gives git an ssh that reaches one port alone, with one key that stays in
// this process, and with none of this machine's configuration and keys.
func (g *git) overSSH(home string) error {
	if g.cred.Token != "" {
		return nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "a token opens repositories over https only").
			WithHint("give the address as https://%s%s, or a deploy key with --deploy-key FILE", g.url.Hostname(), g.url.Path)
	}
	host, port := g.url.Hostname(), cmp.Or(g.url.Port(), "22")
	if err := g.f.cfg.Policy.CheckHost(host); err != nil {
		return err
	}
	forward, err := g.f.cfg.Policy.Forward(net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	g.close = append(g.close, func() { _ = forward.Close() })
	g.failed = forward.Err
	hosts, err := g.openHosts(home)
	if err != nil {
		return err
	}
	socket := "none"
	if len(g.cred.Key) > 0 {
		if socket, err = g.serveKey(home); err != nil {
			return err
		}
	}
	alias := host
	if port != "22" {
		alias = "[" + host + "]:" + port
	}
	command := []string{"ssh", "-F", "/dev/null", "-a", "-x", "-T"}
	for _, o := range []string{
		"BatchMode=yes", "IdentityFile=none", "IdentityAgent=" + socket, "UserKnownHostsFile=" + hosts, "GlobalKnownHostsFile=/dev/null",
		"StrictHostKeyChecking=accept-new", "HashKnownHosts=no", "UpdateHostKeys=no", "HostKeyAlias=" + alias, "CheckHostIP=no",
		"HostName=127.0.0.1", fmt.Sprintf("Port=%d", forward.Port()), "ProxyCommand=none", "ProxyJump=none", "ControlMaster=no", "ControlPath=none",
		"ClearAllForwardings=yes", "PermitLocalCommand=no", "PreferredAuthentications=publickey,none", "ConnectTimeout=30", "ServerAliveInterval=15",
		"LogLevel=ERROR",
	} {
		command = append(command, "-o", o)
	}
	for i, word := range command {
		command[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	g.env = append(g.env, "GIT_SSH_COMMAND="+strings.Join(command, " "), "GIT_SSH_VARIANT=ssh")
	g.settings(map[string]string{"protocol.ssh.allow": "always"})
	return nil
}

// serveKey answers as ssh's agent with the deploy key, at a socket in home.
func (g *git) serveKey(home string) (string, error) {
	key, err := ssh.ParseRawPrivateKey(g.cred.Key)
	if err != nil {
		bad := nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "the deploy key is no private key of ssh's")
		if errors.As(err, new(*ssh.PassphraseMissingError)) {
			bad = nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "the deploy key has a passphrase").
				WithHint("make one without: ssh-keygen -t ed25519 -N '' -f deploy")
		}
		return "", bad // what the parser says may have part of the key
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "the deploy key is of a kind that cannot be used")
	}
	// A socket's path is limited to 107 bytes: it is named by a short way.
	dir, err := os.MkdirTemp("", "nixspace-key-")
	if err != nil {
		return "", fmt.Errorf("serve a deploy key: %w", err)
	}
	g.close = append(g.close, func() { _ = os.RemoveAll(dir) })
	if err := own(dir, g.user); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "agent")
	ln, err := net.Listen("unix", path)
	if err != nil {
		return "", fmt.Errorf("serve a deploy key: %w", err)
	}
	if g.user != nil {
		if err := os.Lchown(path, int(g.user.Uid), int(g.user.Gid)); err != nil {
			return "", errors.Join(fmt.Errorf("serve a deploy key: %w", err), ln.Close())
		}
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			done.Go(func() {
				_ = agent.ServeAgent(keys, c) // it ends with the connection
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				_ = c.Close()
			})
		}
	})
	g.close = append(g.close, func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		done.Wait()
	})
	return path, nil
}

// openHosts copies the keys of the known hosts to where ssh may write, and takes
// over at the end what it learnt.
func (g *git) openHosts(home string) (string, error) {
	store := filepath.Join(g.f.cfg.Dir, "known_hosts")
	g.f.hosts.Lock()
	defer g.f.hosts.Unlock()
	known, err := os.ReadFile(store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the keys of known hosts: %w", err)
	}
	all := knownHosts + string(known)
	path := filepath.Join(home, "known_hosts")
	if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
		return "", diskError(fmt.Errorf("write the keys of known hosts: %w", err))
	}
	if g.user != nil {
		if err := os.Lchown(path, int(g.user.Uid), int(g.user.Gid)); err != nil {
			return "", fmt.Errorf("write the keys of known hosts: %w", err)
		}
	}
	g.close = append(g.close, func() {
		now, err := readRegular(path)
		learnt, grew := strings.CutPrefix(string(now), all)
		if err != nil || !grew || learnt == "" || len(learnt) > 64<<10 {
			return
		}
		g.f.hosts.Lock()
		defer g.f.hosts.Unlock()
		f, err := os.OpenFile(store, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(learnt)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			g.f.cfg.Log.Warn("cannot remember the key of a host", "error", err)
		}
	})
	return path, nil
}

// readRegular reads a file that somebody else may have put something in place of.
func readRegular(path string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil, errors.New("it is no plain file")
	}
	return root.ReadFile(filepath.Base(path))
}
