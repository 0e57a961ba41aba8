package fetch

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
)

// TestPrivateAddresses asks, in every way, for what only the server may reach.
func TestPrivateAddresses(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	f := fetcher(t, s.ca, func(c *Config) { c.Policy = dial.Policy{} })
	for _, address := range []string{
		s.URL + "/shop", "https://localhost:" + port + "/shop", "https://127.1:" + port + "/shop", "https://0x7f.1:" + port + "/shop",
		"https://2130706433:" + port + "/shop", "https://[::ffff:127.0.0.1]:" + port + "/shop", "https://0:" + port + "/shop",
		"https://169.254.169.254/latest/meta-data", "https://10.0.0.1/x",
		"ssh://git@127.0.0.1:" + port + "/shop", "ssh://git@0x7f.1:" + port + "/shop", "ssh://git@localhost:" + port + "/shop",
	} {
		for _, kind := range []nixspace.SourceKind{nixspace.SourceGit, nixspace.SourceFile} {
			if kind == nixspace.SourceFile && strings.HasPrefix(address, "ssh") {
				continue
			}
			_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: kind, URL: address}, nixspace.SourceCredentials{}, nil)
			if nixspace.ErrorCode(err) != dial.CodeRefused {
				t.Errorf("%s as %s: got %v", address, kind, err)
			}
		}
	}
	if s.mu.Lock(); len(s.asked) > 0 {
		t.Errorf("the server was reached %d times", len(s.asked))
	}
	s.mu.Unlock()
	for _, address := range []string{"http://example.org/a", "ext::sh -c touch% x", "file:///etc", "/etc", "--upload-pack=touch"} {
		_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceGit, URL: address}, nixspace.SourceCredentials{}, nil)
		if k := nixspace.ErrorKind(err); k == nixspace.KindInternal || err == nil {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// TestRedirectToPrivate fetches from a server that may be reached, and that sends
// on to one that may not.
func TestRedirectToPrivate(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	front := redirect(t, strings.Replace(s.URL, "127.0.0.1", "127.0.0.2", 1))
	f := fetcher(t, both(t, front.ca, s.ca), func(c *Config) { c.Policy = dial.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}} })
	for _, kind := range []nixspace.SourceKind{nixspace.SourceGit, nixspace.SourceFile} {
		_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: kind, URL: front.URL + "/shop"}, nixspace.SourceCredentials{}, nil)
		if nixspace.ErrorCode(err) != dial.CodeRefused {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		t.Errorf("the server was reached %d times", len(s.asked))
	}
}

func TestTooLarge(t *testing.T) {
	s := newForge(t)
	s.repository("large", map[string]string{"a": strings.Repeat("x", 4<<20)}) // compresses well, and is a bomb
	f := fetcher(t, s.ca, func(c *Config) { c.Limits = nixspace.CodeLimits{Bytes: 1 << 20} })
	if _, err := f.Fetch(t.Context(), s.source("large"), nixspace.SourceCredentials{}, nil); nixspace.ErrorKind(err) != nixspace.KindLimit {
		t.Errorf("got %v", err)
	}
	f = fetcher(t, s.ca, func(c *Config) { c.Limits = nixspace.CodeLimits{Files: 3} })
	s.repository("many", map[string]string{"a": "", "b": "", "c": "", "d": ""})
	if _, err := f.Fetch(t.Context(), s.source("many"), nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "workspace_too_large" {
		t.Errorf("got %v", err)
	}
}

func TestBrokenOff(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	f := fetcher(t, s.ca)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.Fetch(ctx, s.source("shop"), nixspace.SourceCredentials{}, func(nixspace.Progress) { cancel() })
	if nixspace.ErrorKind(err) != nixspace.KindCanceled {
		t.Errorf("got %v", err)
	}
}

// TestHangingServer gives up on servers that take a connection and say nothing.
func TestHangingServer(t *testing.T) {
	asked := make(chan struct{}, 16)
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer s.Close()
	f := fetcher(t, certificate(t, s))
	for _, kind := range []nixspace.SourceKind{nixspace.SourceGit, nixspace.SourceFile} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		_, err := f.Fetch(ctx, nixspace.CodeSource{Kind: kind, URL: s.URL + "/a"}, nixspace.SourceCredentials{}, nil)
		if nixspace.ErrorKind(err) != nixspace.KindCanceled {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	f.cfg.Time = time.Second
	if _, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceGit, URL: s.URL + "/a"}, nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "source_timeout" {
		t.Errorf("after the time for a fetch: got %v", err)
	}
}

// TestHostileRepository fetches what git itself would not make.
func TestHostileRepository(t *testing.T) {
	s := newForge(t)
	s.repository("evil", map[string]string{"a": "1"})
	blob := s.run("evil", "rev-parse", "HEAD:a")
	for name, entry := range map[string]string{"a .git folder": ".git", "a way out": ".."} {
		t.Run(name, func(t *testing.T) {
			inner := hashTree(t, s, "evil", "100755 blob "+blob+"\tconfig\n")
			tree := hashTree(t, s, "evil", "040000 tree "+inner+"\t"+entry+"\n")
			commit := s.run("evil", "commit-tree", "-m", "evil", tree)
			s.run("evil", "update-ref", "refs/heads/main", commit)
			f := fetcher(t, s.ca)
			_, err := f.Fetch(t.Context(), s.source("evil"), nixspace.SourceCredentials{}, nil)
			if nixspace.ErrorCode(err) != "source_damaged" {
				t.Errorf("got %v", err)
			}
		})
	}
}
