package fetch

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
)

// newKey makes a key, and writes it as people keep it.
func newKey(t *testing.T, passphrase string) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "deploy")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "deploy", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// sshForge serves the repositories of a forge over ssh, to whoever has the key.
func sshForge(t *testing.T, s *forge, host ssh.Signer, allowed ssh.PublicKey) string {
	t.Helper()
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(k.Marshal(), allowed.Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	cfg.AddHostKey(host)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveSSH(c, cfg, s.root) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

func serveSSH(c net.Conn, cfg *ssh.ServerConfig, root string) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range reqs {
			if r.Type != "exec" {
				_ = r.Reply(r.Type == "env", nil)
				continue
			}
			_ = r.Reply(true, nil)
			line := string(r.Payload[4:])
			repo := strings.Trim(strings.TrimPrefix(line, "git-upload-pack "), "'")
			cmd := exec.Command("git", "-c", "safe.directory=*", "upload-pack", filepath.Join(root, filepath.Clean("/"+repo)))
			cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
			in, err := cmd.StdinPipe() // so that its end does not wait for the client's
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(in, ch)
				in.Close()
			}()
			status := uint32(0)
			if err := cmd.Run(); err != nil {
				status = 128
			}
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ N uint32 }{status}))
			ch.Close()
		}
	}
}

func TestSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("ssh is not here")
	}
	s := newForge(t)
	s.repository("mine", map[string]string{"a": "1"})
	host, _ := newKey(t, "")
	key, pemKey := newKey(t, "")
	_, otherKey := newKey(t, "")
	_, closedKey := newKey(t, "words")
	addr := sshForge(t, s, host, key.PublicKey())
	f := fetcher(t, "")
	source := nixspace.CodeSource{Kind: nixspace.SourceGit, URL: "ssh://git@" + addr + "/mine"}
	cred := nixspace.SourceCredentials{Key: pemKey}
	got, err := f.Fetch(t.Context(), source, cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, files(t, f, got.Workspace), map[string]string{"a": "1"})
	known, err := os.ReadFile(filepath.Join(f.cfg.Dir, "known_hosts"))
	if err != nil || !strings.Contains(string(known), "["+strings.Replace(addr, ":", "]:", 1)) {
		t.Errorf("the host's key is not remembered: %q, %v", known, err)
	}
	for what, test := range map[string]struct {
		cred nixspace.SourceCredentials
		code string
	}{
		"none":              {nixspace.SourceCredentials{}, "source_unauthorized"},
		"another key":       {nixspace.SourceCredentials{Key: otherKey}, "source_unauthorized"},
		"no key":            {nixspace.SourceCredentials{Key: []byte("secret words")}, "source_credentials"},
		"with a passphrase": {nixspace.SourceCredentials{Key: closedKey}, "source_credentials"},
		"a token":           {nixspace.SourceCredentials{Token: secret}, "source_credentials"},
	} {
		_, err := f.Fetch(t.Context(), source, test.cred, nil)
		if nixspace.ErrorCode(err) != test.code || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	missing := source
	missing.URL += "-not"
	if _, err := f.Fetch(t.Context(), missing, cred, nil); nixspace.ErrorCode(err) != "source_not_found" {
		t.Errorf("no such repository: got %v", err)
	}
	// Somebody else answers at the same address.
	line := strings.Fields(string(known))
	other, _ := newKey(t, "")
	changed := fmt.Sprintf("%s %s", line[0], ssh.MarshalAuthorizedKey(other.PublicKey()))
	if err := os.WriteFile(filepath.Join(f.cfg.Dir, "known_hosts"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(t.Context(), source, cred, nil); nixspace.ErrorCode(err) != "source_host_key" {
		t.Errorf("another host's key: got %v", err)
	}
	shut := fetcher(t, "", func(c *Config) { c.Policy = dial.Policy{} })
	if _, err := shut.Fetch(t.Context(), source, cred, nil); nixspace.ErrorCode(err) != dial.CodeRefused {
		t.Errorf("an address that is refused: got %v", err)
	}
}
