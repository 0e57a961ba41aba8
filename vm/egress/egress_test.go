package egress

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is an agent in this process whose way out a gateway serves.
type machine struct {
	proxy   *url.URL
	gateway *Gateway
	client  *wire.Client
}

func newMachine(t *testing.T, cfg Config) *machine {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	agent, err := guest.NewProcess(guest.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", t.TempDir()+"/agent")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { agent.Serve(ctx, l.Accept) })
	m := &machine{client: wire.NewClient(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	})}
	port := freePort(t)
	if err := m.client.Prepare(ctx, wire.PrepareRequest{Proxy: port}); err != nil {
		t.Fatal(err)
	}
	if m.gateway, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	all.Go(func() { m.gateway.Serve(ctx, m.client) })
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		agent.Close()
		all.Wait()
	})
	m.proxy = &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	return m
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (m *machine) http(t *testing.T, scheme string, base *http.Transport) *http.Client {
	proxy := *m.proxy
	proxy.Scheme = scheme
	tr := base.Clone()
	tr.Proxy = http.ProxyURL(&proxy)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func hostOf(s *httptest.Server) string { return s.Listener.Addr().String() }

func TestWaysOut(t *testing.T) {
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	var heads sync.Map
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heads.Store(r.URL.Path, r.Header.Clone())
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		w.Header().Set("X-Got", fmt.Sprintf("%d %x", n, sum.Sum(nil)))
		_, _ = w.Write(content)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	base := secure.Client().Transport.(*http.Transport)
	m := newMachine(t, Config{Policy: nixspace.Egress{Allow: []string{hostOf(plain), hostOf(secure)}}, Private: true})

	upload := make([]byte, 2<<20)
	_, _ = rand.Read(upload)
	want := fmt.Sprintf("%d %x", len(upload), sha256.Sum256(upload))
	for _, scheme := range []string{"http", "socks5", "socks5h"} {
		for _, s := range []*httptest.Server{plain, secure} {
			for _, body := range []io.Reader{bytes.NewReader(upload), io.MultiReader(bytes.NewReader(upload))} { // with a length, and chunked
				res, err := m.http(t, scheme, base).Post(s.URL+"/a?b=c", "application/octet-stream", body)
				if err != nil {
					t.Fatalf("%s to %s: %v", scheme, s.URL, err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || !bytes.Equal(got, content) || res.Header.Get("X-Got") != want {
					t.Errorf("%s to %s: %d bytes, %v, sent %s", scheme, s.URL, len(got), err, res.Header.Get("X-Got"))
				}
			}
		}
	}
	if h, ok := heads.Load("/a"); !ok || h.(http.Header).Get("Proxy-Connection") != "" {
		t.Errorf("the server sees %v", h)
	}
	s := m.gateway.Status()
	if s.Policy != "allow-list" || s.Connections != 12 || s.Refused != 0 || len(s.Hosts) != 2 || s.Hosts[0].Connections != 6 {
		t.Errorf("%+v", s)
	}
	if s.Received < int64(12*len(content)) || s.Sent < int64(12*len(upload)) || s.Received > int64(13*len(content)) || s.Sent > int64(13*len(upload)) {
		t.Errorf("sent %d, received %d", s.Sent, s.Received)
	}
}

func TestRefusals(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	defer secret.Close()
	host := hostOf(secret)
	_, port, _ := net.SplitHostPort(host)
	for _, test := range []struct {
		name    string
		policy  nixspace.Egress
		private bool
		to      string
		say     string
	}{
		{"another host", nixspace.Egress{Allow: []string{"a.example"}}, true, host, "this environment may not reach " + host},
		{"another port", nixspace.Egress{Allow: []string{"127.0.0.1"}}, true, host, "may not reach"},
		{"named, without the switch", nixspace.Egress{Allow: []string{host}}, false, host, "it is the server itself"},
		{"full, without the switch", nixspace.Egress{Full: true}, false, host, "it is the server itself"},
		{"full, with the switch", nixspace.Egress{Full: true}, true, host, "it is the server's own"},
		{"a name of this machine", nixspace.Egress{Full: true}, false, "localhost:" + port, "it is the server itself"},
		{"a name of this machine, with the switch", nixspace.Egress{Full: true}, true, "localhost:" + port, "it is the server's own"},
		{"below a name", nixspace.Egress{Allow: []string{"*.localhost:*"}}, true, "x.localhost:" + port, "refused"},
		{"an old form", nixspace.Egress{Full: true}, true, "127.1:" + port, "is no host that could be reached"},
		{"a number", nixspace.Egress{Full: true}, true, "2130706433:" + port, "is no host that could be reached"},
		{"IPv4 in IPv6", nixspace.Egress{Full: true}, true, "[::ffff:127.0.0.1]:" + port, "the server's own"},
		{"metadata", nixspace.Egress{Allow: []string{"169.254.169.254"}}, true, "169.254.169.254:80", "a link-local network"},
		{"private", nixspace.Egress{Full: true}, false, "10.0.0.1:80", "a private network"},
		{"no host", nixspace.Egress{Full: true}, true, "0.0.0.0:" + port, "it is no host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t, Config{Policy: test.policy, Private: test.private})
			// As a plain request, whose answer people see.
			res, err := m.http(t, "http", &http.Transport{}).Get("http://" + test.to + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if strings.Contains(string(body), "secret") {
				t.Fatal("it got through")
			}
			// The name may not resolve where this runs, which is no less a refusal.
			ok := res.StatusCode == 403 && strings.Contains(string(body), test.say) && strings.Contains(res.Status, test.say)
			if !ok && !(test.name == "below a name" && res.StatusCode == 502) {
				t.Errorf("%s: %s", res.Status, body)
			}
			if strings.Contains(test.say, "environment may not") && !strings.Contains(string(body), `egress = ["`) {
				t.Errorf("it does not say what to write: %s", body)
			}
			// As a tunnel.
			_, err = m.http(t, "http", &http.Transport{}).Get("https://" + test.to + "/")
			if err == nil {
				t.Error("there is a tunnel")
			}
			_, err = m.http(t, "socks5h", &http.Transport{}).Get("http://" + test.to + "/")
			if err == nil {
				t.Error("there is a tunnel of SOCKS")
			}
			if s := m.gateway.Status(); s.Connections != 0 || s.Sent+s.Received != 0 || s.Refused+s.Failed != 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestUnreachable says what is wrong where the policy is not.
func TestUnreachable(t *testing.T) {
	port := freePort(t)
	to := "127.0.0.1:" + strconv.Itoa(port)
	m := newMachine(t, Config{Policy: nixspace.Egress{Allow: []string{to, "nothing.invalid"}}, Private: true})
	for host, say := range map[string]string{to: "connection refused", "nothing.invalid": "cannot be resolved"} {
		res, err := m.http(t, "http", &http.Transport{}).Get("http://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 502 || !strings.Contains(string(body), say) {
			t.Errorf("%s: %s: %s", host, res.Status, body)
		}
	}
}

// TestFlood asks for more connections than there may be.
func TestFlood(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "up\n")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer s.Close()
	m := newMachine(t, Config{Policy: nixspace.Egress{Allow: []string{hostOf(s)}}, Private: true})
	// Each open one keeps its place until the end.
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	busy := 0
	for range 200 {
		c, err := net.Dial("tcp", m.proxy.Host)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		_, _ = fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\n\r\n", hostOf(s))
	}
	// Those beyond the guest's limit are told so at once; of the others, as many as
	// the host has are served.
	for _, c := range conns[128:] {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		b, _ := io.ReadAll(c)
		if strings.HasPrefix(string(b), "HTTP/1.1 503 ") {
			busy++
		}
	}
	if busy != 200-128 {
		t.Errorf("%d were told that all connections are in use", busy)
	}
	for {
		s := m.gateway.Status()
		if s.Open > maxOpen {
			t.Fatalf("%d connections are open", s.Open)
		}
		if s.Open == maxOpen {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(release)
}

// TestEnd ends a gateway through which somebody is connected.
func TestEnd(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	var c net.Conn
	t.Run("", func(t *testing.T) {
		m := newMachine(t, Config{Policy: nixspace.Egress{Allow: []string{hostOf(s)}}, Private: true})
		var err error
		if c, err = net.Dial("tcp", m.proxy.Host); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\n\r\n", hostOf(s))
		if _, err := c.Read(make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
	})
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection goes on")
	}
}

func TestCountsAreBounded(t *testing.T) {
	g, err := New(Config{Policy: nixspace.Egress{Full: true}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		g.refused(fmt.Sprintf("h%d.example:443", i), io.EOF)
	}
	g.sent("h3.example:443", 7)
	s := g.Status()
	if len(s.Hosts) != maxHosts || s.Refused != 1000 || s.More.Refused != 900 || s.Sent != 7 {
		t.Errorf("%d hosts, %+v, more %+v", len(s.Hosts), s.EgressCount, s.More)
	}
	if !g.changed() || g.changed() {
		t.Error("changes are not told once")
	}
}

func TestPolicyIsChecked(t *testing.T) {
	if _, err := New(Config{Policy: nixspace.Egress{Allow: []string{"http://x"}}}); err == nil {
		t.Error("no error")
	}
}
