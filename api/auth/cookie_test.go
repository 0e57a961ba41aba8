package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

func TestBrowser(t *testing.T) {
	owner := nixspace.Actor{ID: nixspace.NewID(), Name: "ada"}
	token, err := NewToken("the-token", owner)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte(strings.Repeat("k", 32))
	b, err := NewBrowser(token, key, SignInCode("the-token"), owner)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	b.now = func() time.Time { return now }
	request := func(host string) *http.Request {
		return httptest.NewRequest(http.MethodPost, "http://"+host+"/graphql", nil)
	}

	for _, code := range []string{"", "the-token", SignInCode("another")} {
		w := httptest.NewRecorder()
		if err := b.SignIn(w, request("localhost:1"), code); nixspace.ErrorCode(err) != "code_wrong" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("code %q: %v, cookie %q", code, err, w.Header().Get("Set-Cookie"))
		}
	}
	w := httptest.NewRecorder()
	if err := b.SignIn(w, request("localhost:1"), SignInCode("the-token")); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %+v", cookie)
	}

	with := func(host, value, header string) error {
		r := request(host)
		r.AddCookie(&http.Cookie{Name: cookieName(request("localhost:1")), Value: value})
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		a, err := b.Authenticate(r)
		if err == nil && a != owner {
			t.Errorf("it is %v, want %v", a, owner)
		}
		return err
	}
	if err := with("localhost:1", cookie.Value, ""); err != nil {
		t.Errorf("signed in: %v", err)
	}
	if err := with("localhost:1", "", "Bearer the-token"); err != nil {
		t.Errorf("with the token: %v", err)
	}
	last := cookie.Value[len(cookie.Value)-2:]
	forged := strings.TrimSuffix(cookie.Value, last) + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, last)
	other, _ := NewBrowser(token, []byte(strings.Repeat("x", 32)), "code", owner)
	for name, err := range map[string]error{
		"a header beats the cookie":   with("localhost:1", cookie.Value, "Bearer wrong"),
		"a cookie of another port":    with("localhost:2", cookie.Value, ""),
		"a changed cookie":            with("localhost:1", forged, ""),
		"a cookie of another key":     with("localhost:1", other.sign(now.Add(time.Hour)), ""),
		"a cookie that is no cookie":  with("localhost:1", "!", ""),
		"no cookie":                   with("localhost:1", "", ""),
		"a cookie with too much said": with("localhost:1", cookie.Value+"AAAA", ""),
	} {
		if err == nil || nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
			t.Errorf("%s: %v, want unauthorized", name, err)
		}
	}
	now = now.Add(cookieLife)
	if with("localhost:1", cookie.Value, "") == nil {
		t.Error("the cookie is good after its end")
	}

	w = httptest.NewRecorder()
	b.SignOut(w, request("localhost:1"))
	if c := w.Result().Cookies()[0]; c.MaxAge >= 0 || c.Name != cookie.Name {
		t.Errorf("signing out sets %+v", c)
	}
}
