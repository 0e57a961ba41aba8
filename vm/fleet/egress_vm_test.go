//go:build vm

package fleet

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// TestEgress downloads out of a machine that may, after every way in which it can
// come up, and out of one that may not.
func TestEgress(t *testing.T) {
	content := make([]byte, 5<<20)
	_, _ = rand.Read(content)
	want := fmt.Sprintf("%d %x", len(content), sha256.Sum256(content))
	// Of the loopback interface, but none of the addresses to which programs use no
	// proxy.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content)
	})}}
	server.Start()
	defer server.Close()
	to := l.Addr().String()

	h := newHost(t)
	h.cfg.PrivateNetworks = true
	lo := h.fleet()
	proxy := fmt.Sprintf("http://127.0.0.1:%d", nixspace.EgressPort)
	allowed := func() nixspace.MachineSpec {
		spec := h.spec()
		spec.Egress = nixspace.Egress{Allow: []string{to}}
		spec.Env["HTTP_PROXY"] = proxy
		return spec
	}
	fetch := func(m nixspace.Machine, what string) {
		t.Helper()
		if got := h.output(m, "fetch", server.URL+"/file"); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	spec := allowed()
	m := h.start(lo, spec) // boots, and leaves a template
	fetch(m, "after a boot")
	if _, err := vmtest.Output(h.ctx, m, "fetch", "http://registry.example/x"); err == nil || !strings.Contains(err.Error(), "403 Forbidden: this environment may not reach registry.example:80") ||
		!strings.Contains(err.Error(), `egress = ["registry.example"]`) {
		t.Errorf("another host: %v", err)
	}
	if got := h.output(m, "interfaces"); got != "lo" {
		t.Errorf("network interfaces: %q", got)
	}
	s, err := m.Status(h.ctx)
	if err != nil || s.Egress == nil {
		t.Fatalf("%+v, %v", s.Egress, err)
	}
	if e := s.Egress; e.Policy != "allow-list" || e.Connections != 1 || e.Refused != 1 || e.Received < int64(len(content)) || len(e.Hosts) != 2 {
		t.Errorf("counts: %+v", e)
	}
	h.hibernate(m)
	spec.Generation, spec.Resume = 2, true
	m = h.start(lo, spec)
	h.cameUp(m, "resume")
	fetch(m, "after a hibernation")

	again := allowed()
	m = h.start(lo, again)
	s, err = m.Status(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Start != "template" {
		t.Logf("NOT TESTED from a template: it came up by %s (%s)", s.Start, s.Fallback)
	}
	fetch(m, "from a template")

	// The same machine without a policy has no way out, whatever its programs ask.
	none := h.spec()
	none.Env["HTTP_PROXY"] = proxy
	m = h.start(lo, none)
	if out, err := vmtest.Output(h.ctx, m, "fetch", server.URL+"/file"); err == nil {
		t.Errorf("a machine without a policy got out: %q", out)
	}
	if s, err := m.Status(h.ctx); err != nil || s.Egress != nil {
		t.Errorf("%+v, %v", s.Egress, err)
	}

	// Everything but this host itself.
	full := h.spec()
	full.Egress, full.Env["HTTP_PROXY"] = nixspace.Egress{Full: true}, proxy
	m = h.start(lo, full)
	if out, err := vmtest.Output(h.ctx, m, "fetch", server.URL+"/file"); err == nil || !strings.Contains(err.Error(), "403 Forbidden: the address 127.0.0.2 is refused: it is the server's own") {
		t.Errorf("the host itself: %q, %v", out, err)
	}
}
