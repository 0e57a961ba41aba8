package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/auth"
)

func TestTokenAuthenticate(t *testing.T) {
	owner := nixspace.Actor{ID: nixspace.NewID(), Name: "owner"}
	token := auth.RandomToken()
	a, err := auth.NewToken(token, owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, header, code string }{
		{"right", "Bearer " + token, ""},
		{"scheme in lower case", "bearer " + token, ""},
		{"missing", "", "token_missing"},
		{"empty", "Bearer ", "token_wrong"},
		{"prefix", "Bearer " + token[:42], "token_wrong"},
		{"longer", "Bearer " + token + "x", "token_wrong"},
		{"other case", "Bearer " + strings.ToUpper(token), "token_wrong"},
		{"other scheme", "Basic " + token, "token_wrong"},
		{"no scheme", token, "token_wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/graphql", nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			got, err := a.Authenticate(r)
			if tt.code == "" {
				if err != nil || got != owner {
					t.Fatalf("Authenticate = %v, %v; want the owner", got, err)
				}
				return
			}
			if nixspace.ErrorCode(err) != tt.code || nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
				t.Fatalf("error %v (%s), want code %s", err, nixspace.ErrorCode(err), tt.code)
			}
			if strings.Contains(err.Error(), token) {
				t.Fatalf("the error shows the token: %v", err)
			}
		})
	}
	if _, err := auth.NewToken("", owner); err == nil {
		t.Error("an empty token was accepted: everybody would get in")
	}
	if auth.RandomToken() == token {
		t.Error("two random tokens are equal")
	}
}

func TestHosts(t *testing.T) {
	h := auth.Hosts{"build.example.org", "192.0.2.7"}
	for host, want := range map[string]bool{
		"localhost":                 true,
		"localhost:7777":            true,
		"LOCALHOST.:7777":           true,
		"3000--a.localhost:7777":    true,
		"127.0.0.1:7777":            true,
		"127.8.9.1":                 true,
		"[::1]:7777":                true,
		"build.example.org:443":     true,
		"192.0.2.7:7777":            true,
		"":                          false,
		"evil.example":              false,
		"localhost.evil.example":    false,
		"127.0.0.1.evil.example:80": false,
		"notlocalhost":              false,
		"192.0.2.8":                 false,
		"0.0.0.0:7777":              false,
		"[::]:7777":                 false,
	} {
		if got := h.Allowed(host); got != want {
			t.Errorf("Allowed(%q) = %v, want %v", host, got, want)
		}
	}
	for _, tt := range []struct {
		origin, host string
		want         bool
	}{
		{"", "localhost:7777", true},
		{"http://localhost:7777", "localhost:7777", true},
		{"http://localhost:7778", "localhost:7777", false},
		{"http://3000--a.localhost:7777", "localhost:7777", false},
		{"http://evil.example", "localhost:7777", false},
		{"http://evil.example", "evil.example", false},
		{"null", "localhost:7777", false},
		{"file://", "localhost:7777", false},
		{"::", "localhost:7777", false},
	} {
		if got := h.OriginAllowed(tt.origin, tt.host); got != tt.want {
			t.Errorf("OriginAllowed(%q, %q) = %v, want %v", tt.origin, tt.host, got, tt.want)
		}
	}
}
