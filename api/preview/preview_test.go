package preview

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestLabelsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?`)
		s := &nixspace.Session{
			ID: nixspace.NewID(), Number: rapid.IntRange(1, 99999).Draw(t, "number"),
			Environment: name.Draw(t, "project") + "/" + name.Draw(t, "env"),
		}
		port := rapid.IntRange(Editor, 65535).Draw(t, "port")
		l := label(s, port)
		if len(l) > labelMax || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Fatalf("%q cannot stand in a host's name", l)
		}
		got, ok := parseLabel(l)
		if !ok || got.port != port || got.session != s.Ref() && got.session != string(s.ID) {
			t.Fatalf("%q is %+v, not port %d of %s (%s)", l, got, port, s.Ref(), s.ID)
		}
	})
}

func FuzzLabel(f *testing.F) {
	f.Add("3000--1--shop--web")
	f.Add("3000--0123456789abcdef0123456789abcdef")
	f.Add("0--1--a--b")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := parseLabel(s); ok && (got.port < Editor || got.port > 65535 || strings.ContainsAny(got.session, ". :@\x00")) {
			t.Errorf("%q is %+v", s, got)
		}
	})
}

func TestOwns(t *testing.T) {
	local, own := New(Config{}), New(Config{Domain: "preview.example.net"})
	for host, want := range map[string][2]bool{
		"3000--1--shop--web.localhost:7070":            {true, true},
		"3000--x.LOCALHOST.":                           {true, true},
		"3000--.localhost":                             {true, true},
		"99999999--x.localhost":                        {true, true},
		"3000--1--a--b.evil.localhost":                 {true, true},
		"localhost:7070":                               {false, false},
		"127.0.0.1:7070":                               {false, false},
		"shop.localhost":                               {false, false},
		"a--b.localhost":                               {false, false},
		"code--1--shop--web.localhost":                 {true, true},
		"code--.localhost":                             {true, true},
		"code-1.localhost":                             {false, false},
		"3000--1--a--b.preview.example.net":            {false, true},
		"preview.example.net":                          {false, true},
		"anything.preview.example.net":                 {false, true},
		"x.preview.example.net.evil.example":           {false, false},
		"example.net":                                  {false, false},
		"3000--1--a--b.evil.example":                   {false, false},
		"3000--1--a--b.localhost.evil.example":         {false, false},
		"3000--1--a--b.preview.example.net.localhost:": {true, true},
		"": {false, false},
	} {
		if got := [2]bool{local.Owns(host), own.Owns(host)}; got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestTicketsAreGoodOnce(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	tk := newTickets()
	c := claim{Label: "3000--1--a--b", Session: "s", Actor: "a", Name: "ada"}
	v := tk.issue(c, now)
	if _, ok := tk.redeem(v, "3001--1--a--b", now); ok {
		t.Error("it is good on another host")
	}
	if _, ok := newTickets().redeem(v, c.Label, now); ok {
		t.Error("it is good on another server")
	}
	if _, ok := tk.redeem(v+"x", c.Label, now); ok {
		t.Error("a changed one is good")
	}
	if got, ok := tk.redeem(v, c.Label, now); !ok || got.Session != "s" || got.Name != "ada" {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := tk.redeem(v, c.Label, now); ok {
		t.Error("it is good twice")
	}
	if _, ok := tk.redeem(tk.issue(c, now), c.Label, now.Add(ticketLife)); ok {
		t.Error("it is good after its end")
	}
	// A cookie is no ticket, and a ticket no cookie.
	pass := signer{tk.key, "preview pass"}
	if _, ok := pass.open(tk.issue(c, now), c.Label, now); ok {
		t.Error("a ticket is taken for a cookie")
	}
	c.Expires = now.Add(time.Hour).UnixMilli()
	if _, ok := tk.redeem(pass.sign(c), c.Label, now); ok {
		t.Error("a cookie is taken for a ticket")
	}
}

func FuzzTicket(f *testing.F) {
	tk := newTickets()
	f.Add(tk.issue(claim{Label: "l"}, time.Now()))
	f.Add("e30.e30")
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := newTickets().redeem(s, "l", time.Now()); ok {
			t.Errorf("%q was not issued and is good", s)
		}
	})
}

func TestCookiesStayWhereTheyBelong(t *testing.T) {
	in := http.Header{"Cookie": {"a=1; nixspace-AbC=secret; __Host-nixspace-preview=x; =nixspace-b; b=2; NIXSPACE-x=1; c", "nixspace-preview-7070=y; d=4;"}}
	forwardCookies(in)
	if got := in.Values("Cookie"); len(got) != 1 || got[0] != "a=1; b=2; d=4" {
		t.Errorf("the session gets %q", got)
	}
	out := http.Header{"Set-Cookie": {
		"a=1; Path=/; Domain=localhost; HttpOnly", "b=2;domain=.example.net", "c=3; DOMAIN = x; Secure", "nixspace-preview=x", "__Host-nixspace-AbC=x; Path=/",
		"=__Host-nixspace-AbC=x", "novalue", "Domain=keep; Path=/", " nixspace-a=1", "x;y=1; Domain=evil",
	}}
	confineCookies(out)
	want := []string{"a=1; Path=/; HttpOnly", "b=2", "c=3; Secure", "Domain=keep; Path=/"}
	if got := out.Values("Set-Cookie"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the browser gets %q, want %q", got, want)
	}
}

func FuzzCookies(f *testing.F) {
	f.Add("a=1; nixspace-x=2", "a=1; Domain=x")
	f.Fuzz(func(t *testing.T, request, answer string) {
		h := http.Header{"Cookie": {request}, "Set-Cookie": {answer}}
		forwardCookies(h)
		confineCookies(h)
		r := &http.Request{Header: h}
		for _, c := range r.Cookies() {
			if ours(c.Name) {
				t.Errorf("the session sees %q of %q", c.Name, request)
			}
		}
		res := http.Response{Header: h}
		for _, c := range res.Cookies() {
			if ours(c.Name) || c.Domain != "" {
				t.Errorf("the browser sees %v of %q", c, answer)
			}
		}
	})
}

func TestLocalPath(t *testing.T) {
	for s, want := range map[string]bool{
		"/": true, "/a?b=c#d": true, "//evil.example/": false, "/\\evil.example": false, "http://evil.example/": false, "": false, "a": false,
		"/a\r\nSet-Cookie: x": false, "/%0d%0a": true,
	} {
		if _, ok := localPath(s); ok != want {
			t.Errorf("%q: %v, want %v", s, ok, want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for _, tt := range []struct {
		method string
		header []string
		want   bool
	}{
		{"GET", nil, true},
		{"POST", nil, true},
		{"POST", []string{"Origin", "http://3000--1--a--b.localhost:7070"}, true},
		{"POST", []string{"Origin", "http://8080--1--a--b.localhost:7070"}, false},
		{"GET", []string{"Origin", "http://localhost:7070", "Upgrade", "websocket"}, false},
		{"GET", []string{"Origin", "null"}, false},
		{"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, true},
		{"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		{"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false},
		{"POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false},
		{"GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"}, false},
	} {
		r := httptest.NewRequest(tt.method, "http://3000--1--a--b.localhost:7070/", nil)
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
		}
		if got := sameOrigin(r); got != tt.want {
			t.Errorf("%s %v: %v, want %v", tt.method, tt.header, got, tt.want)
		}
	}
}
