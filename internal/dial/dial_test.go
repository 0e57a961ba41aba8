package dial

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		class class
		addrs string
	}{
		{public, "1.1.1.1 140.82.121.3 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0 223.255.255.255 2606:4700::1111 2a00:1450::1 64:ff9b::1.1.1.1 2002:101:101::1 ::ffff:1.1.1.1"},
		{private, "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1 127.0.0.1 127.255.255.255 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 198.18.0.1 ::1 fd12::1 fc00::1 ::ffff:127.0.0.1 ::ffff:10.1.1.1 64:ff9b::7f00:1 2002:7f00:1::"},
		{never, "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 192.0.0.1 100.100.100.200 168.63.129.16 " +
			":: fe80::1 fec0::1 ff02::1 fd00:ec2::254 2001::1 ::127.0.0.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 64:ff9b:1::1 100::1 5f00::1"},
	} {
		for _, s := range strings.Fields(test.addrs) {
			a := netip.MustParseAddr(s)
			for _, p := range []Policy{{}, {Private: true}} {
				allowed := test.class == public || test.class == private && p.Private
				if err := p.Check(a); (err == nil) != allowed {
					t.Errorf("%s with %+v: %v", s, p, err)
				} else if err != nil && (nixspace.ErrorCode(err) != CodeRefused || nixspace.ErrorKind(err) != nixspace.KindForbidden) {
					t.Errorf("%s: got %v", s, err)
				}
			}
		}
	}
	if (Policy{Private: true}).Check(netip.Addr{}) == nil || (Policy{Private: true}).Check(netip.MustParseAddr("fe80::1%eth0")) == nil {
		t.Error("no address, and one with a zone, are allowed")
	}
}

func TestParsePolicy(t *testing.T) {
	p, err := ParsePolicy("10.1.0.0/16", "127.0.0.2", "169.254.0.0/16")
	if err != nil || !p.Inside() {
		t.Fatal(p, err)
	}
	for address, allowed := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "127.0.0.2": true, "127.0.0.1": false, "169.254.169.254": false, "1.1.1.1": true,
	} {
		if err := p.Check(netip.MustParseAddr(address)); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
	if p, err := ParsePolicy("private"); err != nil || !p.Private {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := ParsePolicy(); err != nil || p.Inside() {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "example.org", "fe80::1%eth0"} {
		if _, err := ParsePolicy(bad); nixspace.ErrorCode(err) != "network_invalid" {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for _, host := range strings.Fields(`127.0.0.1 127.1 127.0.1 0x7f.1 0x7f000001 2130706433 017700000001 0177.0.0.1 0X7F.0.0.0x1 0300.0250.1.1
		localhost LOCALHOST localhost. a.localhost [::1] ::1 [::ffff:7f00:1] 127.0.0.1. 10.1 3232235777`) {
		if err := (Policy{}).CheckHost(host); nixspace.ErrorCode(err) != CodeRefused {
			t.Errorf("%s: got %v", host, err)
		}
	}
	for _, host := range strings.Fields("example.org 1.1.1.1 1.1 127.0.0.1.example.org 0x7f.example 4294967296 1.2.3.4.5 256.1.1.1 09.1.1.1 localhost.example a..b") {
		if err := (Policy{}).CheckHost(host); err != nil {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func FuzzParseLiteral(f *testing.F) {
	for _, s := range []string{"127.1", "0x7f.1", "017700000001", "2130706433", "::1", "1.2.3.4.", "0x", "00000000000000000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseLiteral(s)
		if ok != a.IsValid() {
			t.Fatalf("%q: %v, %v", s, a, ok)
		}
		if want, err := netip.ParseAddr(s); err == nil && want != a {
			t.Fatalf("%q: %v, want %v", s, a, want)
		}
	})
}

// inside serves on the loopback interface, where a policy must not get.
func inside(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	t.Cleanup(s.Close)
	return s
}

// TestTransport asks for an address that is refused in every way that hides it.
func TestTransport(t *testing.T) {
	s := inside(t)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	tr := (Policy{}).Transport()
	defer tr.CloseIdleConnections()
	c := http.Client{Transport: tr}
	for _, address := range []string{
		"127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0", "0.0.0.0",
		"example.org@127.0.0.1", "example.org:443@127.0.0.1", "example.org%2f@127.0.0.1",
	} {
		res, err := c.Get("http://" + address + ":" + port + "/")
		if err == nil {
			res.Body.Close()
		}
		if nixspace.ErrorCode(err) != CodeRefused {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// TestControl is what holds when a name resolves to what is refused: the check is
// made on the address of the connection, whatever the host was called.
func TestControl(t *testing.T) {
	s := inside(t)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	d := (Policy{}).Dialer()
	// CheckHost is not asked here: the system resolves the name.
	_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	if nixspace.ErrorCode(err) != CodeRefused {
		t.Errorf("a name that resolves to this machine: got %v", err)
	}
	if c, err := (Policy{Private: true}).DialContext(t.Context(), "tcp", net.JoinHostPort("localhost", port)); err != nil {
		t.Errorf("with private networks allowed: %v", err)
	} else {
		c.Close()
	}
	if _, err := d.DialContext(t.Context(), "unix", "/nonexistent"); nixspace.ErrorCode(err) != CodeRefused {
		t.Errorf("a socket: got %v", err)
	}
}

// TestRedirect follows a redirect from where the policy lets a client go to where
// it does not.
func TestRedirect(t *testing.T) {
	secret := inside(t)
	front := httptest.NewServer(http.RedirectHandler(secret.URL, http.StatusFound))
	defer front.Close()
	// The front stands for a public server: it is dialed past the policy.
	tr := (Policy{}).Transport()
	defer tr.CloseIdleConnections()
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "public.example:80" {
			return (&net.Dialer{}).DialContext(ctx, network, front.Listener.Addr().String())
		}
		return dial(ctx, network, address)
	}
	_, err := (&http.Client{Transport: tr}).Get("http://public.example/")
	if nixspace.ErrorCode(err) != CodeRefused {
		t.Errorf("got %v", err)
	}
}

func serve(t *testing.T, p Policy) *Proxy {
	x, err := p.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func get(proxy *url.URL, base *http.Transport, address string) (int, string, error) {
	tr := base.Clone()
	tr.Proxy = http.ProxyURL(proxy)
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(address)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestProxy(t *testing.T) {
	plain := inside(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	defer secure.Close()
	base := secure.Client().Transport.(*http.Transport)

	open, shut := serve(t, Policy{Private: true}), serve(t, Policy{})
	for _, address := range []string{plain.URL, secure.URL} {
		if status, body, err := get(open.URL(), base, address); err != nil || status != 200 || body != "secret" {
			t.Errorf("%s, allowed: got %d %q %v", address, status, body, err)
		}
		status, body, err := get(shut.URL(), base, address)
		if err == nil && status != http.StatusForbidden || strings.Contains(body, "secret") {
			t.Errorf("%s, refused: got %d %q %v", address, status, body, err)
		}
		if nixspace.ErrorCode(shut.Err()) != CodeRefused {
			t.Errorf("%s: the proxy knows of %v", address, shut.Err())
		}
		anybody := *open.URL()
		for _, anybody.User = range []*url.Userinfo{nil, url.UserPassword(proxyUser, "guess")} {
			if status, body, err := get(&anybody, base, address); err == nil && status != http.StatusProxyAuthRequired {
				t.Errorf("%s without the password: got %d %q", address, status, body)
			}
		}
	}
}

// tunnel connects through a proxy as programs do.
func tunnel(t *testing.T, proxy *url.URL, address string) (net.Conn, error) {
	c, err := net.Dial("tcp", proxy.Host)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := proxy.User.Password()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\nProxy-Authorization: Basic %s\r\n\r\n", address,
		base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password)))
	const want = "HTTP/1.1 200 Connection established\r\n\r\n"
	head := make([]byte, len(want))
	if _, err := io.ReadFull(c, head); err != nil || string(head) != want {
		c.Close()
		return nil, fmt.Errorf("the proxy says %q (%v)", head, err)
	}
	return c, nil
}

func forward(t *testing.T, p Policy, address string) *Forward {
	f, err := p.Forward(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestTunnel(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan error, 1)
	go func() { // says what it hears once it has heard all
		c, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err == nil {
			_, err = c.Write(b)
		}
		served <- err
	}()
	c, err := tunnel(t, serve(t, Policy{Private: true}).URL(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "hello")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := tunnel(t, serve(t, Policy{}).URL(), ln.Addr().String()); err == nil {
		t.Error("a refused address was connected to")
	}
}

// TestCloseEndsTunnels closes a proxy through which somebody is connected.
func TestCloseEndsTunnels(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := (Policy{Private: true}).Serve()
	if err != nil {
		t.Fatal(err)
	}
	c, err := tunnel(t, x.URL(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %v", err)
	}
}

func TestForward(t *testing.T) {
	s := inside(t)
	for _, test := range []struct {
		policy Policy
		want   string
	}{{Policy{Private: true}, "secret"}, {Policy{}, ""}} {
		f := forward(t, test.policy, s.Listener.Addr().String())
		tr := &http.Transport{DisableKeepAlives: true}
		res, err := (&http.Client{Transport: tr}).Get(fmt.Sprintf("http://127.0.0.1:%d/", f.Port()))
		var body []byte
		if err == nil {
			body, _ = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if string(body) != test.want {
			t.Errorf("%+v: got %q, %v", test.policy, body, err)
		}
		if refused := nixspace.ErrorCode(f.Err()) == CodeRefused; refused != (test.want == "") {
			t.Errorf("%+v: it failed because of %v", test.policy, f.Err())
		}
	}
}
