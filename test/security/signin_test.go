package security

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

func (c *client) signIn(body map[string]any) (int, []byte) {
	c.w.t.Helper()
	return c.do(http.MethodPost, "/api/v1/sign-in", body)
}

// TestS10Guessing: passwords are guessed, and names are found out.
func TestS10Guessing(t *testing.T) {
	w := newWorld(t)
	w.user("ada", nixspace.StandingMember, "", "")
	var answers [2]string
	for i, name := range []string{"ada", "nobody"} {
		status, b := (&client{w: w}).signIn(map[string]any{"name": name, "password": "wrong password"})
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
		answers[i] = string(b)
	}
	if answers[0] != answers[1] {
		t.Errorf("the answers tell who is there:\n%s%s", answers[0], answers[1])
	}
	code := ""
	for n := 0; n < 40 && code != "too_many_tries"; n++ {
		_, b := (&client{w: w}).signIn(map[string]any{"name": "ada", "password": fmt.Sprintf("wrong password %d", n)})
		code = codeOf(b)
	}
	if code != "too_many_tries" {
		t.Fatalf("40 guesses: the last answer is %q", code)
	}
	if _, b := (&client{w: w}).signIn(map[string]any{"name": "ada", "password": password}); codeOf(b) != "too_many_tries" {
		t.Errorf("the right password helps after that: %s", b)
	}
}

// TestS11Cookies: the cookie is stolen, tossed, or sent by pages of others.
func TestS11Cookies(t *testing.T) {
	w := newWorld(t)
	w.user("ada", nixspace.StandingMember, "shop", nixspace.RoleDeveloper)
	b := w.browser()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.url+"/api/v1/sign-in", strings.NewReader(`{"name":"ada","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	cookies := res.Cookies()
	if res.StatusCode != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("sign in: %s, %d cookies", res.Status, len(cookies))
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Path != "/" {
		t.Errorf("cookie %+v", c)
	}
	u, _ := url.Parse(w.url)
	b.jar.SetCookies(u, cookies)
	var me struct{ Viewer struct{ Name string } }
	b.must(`{viewer{name}}`, nil, &me)
	if me.Viewer.Name != "ada" {
		t.Fatalf("signed in as %q", me.Viewer.Name)
	}
	// A page of another origin, a page of a preview, and a form.
	for name, header := range map[string][]string{
		"another origin": {"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"},
		"a preview":      {"Origin", "http://" + previewHost, "Sec-Fetch-Site", "same-site"},
		"a form":         {"Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"},
	} {
		if status, body := b.do(http.MethodPost, "/graphql", map[string]any{"query": "{viewer{name}}"}, header...); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// A cookie as a token, and a token as a cookie.
	if code := (&client{w: w, token: c.Value}).ask(`{viewer{name}}`, nil, nil); code != "token_wrong" {
		t.Errorf("a cookie as a token: %q", code)
	}
	// One that was planted beside it does not win, and does not lock out.
	planted := *c
	planted.Value = "nxb_" + strings.Repeat("A", 43)
	req, _ = http.NewRequestWithContext(w.ctx, http.MethodPost, w.url+"/graphql", strings.NewReader(`{"query":"{viewer{name}}"}`))
	req.Header.Set("Content-Type", "application/json")
	req.AddCookie(&planted)
	req.AddCookie(c)
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a planted cookie locks out: %s", res.Status)
	}
	// Signing out ends it on the server too.
	if status, _ := b.do(http.MethodPost, "/api/v1/sign-out", nil); status != http.StatusNoContent {
		t.Errorf("sign out: %d", status)
	}
	again := w.browser()
	again.jar.SetCookies(u, cookies)
	if code := again.ask(`{viewer{name}}`, nil, nil); code != "token_missing" {
		t.Errorf("after signing out the cookie is good: %q", code)
	}
}

// totp is the one-time password of a moment, written down once more for the test.
func totp(t *testing.T, secret string, step int64) string {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%1e6)
}

// TestS12OneTimePasswords: one is left out, guessed, or used twice.
func TestS12OneTimePasswords(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", nixspace.StandingMember, "", "")
	var made struct{ EnrolTotp struct{ Secret, URI string } }
	ada.must(`mutation{enrolTotp{secret uri}}`, nil, &made)
	if status, b := (&client{w: w}).signIn(map[string]any{"name": "ada", "password": password, "token": "x"}); status != http.StatusOK {
		t.Fatalf("they are asked for before they are confirmed: %s", b)
	}
	step := time.Now().Unix() / 30
	ada.must(`mutation($c:String!){confirmTotp(code:$c)}`, map[string]any{"c": totp(t, made.EnrolTotp.Secret, step)}, nil)
	for code, body := range map[string]map[string]any{
		"code_required": {"name": "ada", "password": password},
		"code_wrong":    {"name": "ada", "password": password, "totp": totp(t, made.EnrolTotp.Secret, step)},
	} {
		if _, b := (&client{w: w}).signIn(body); codeOf(b) != code {
			t.Errorf("got %s, want %s", b, code)
		}
	}
	if status, b := (&client{w: w}).signIn(map[string]any{"name": "ada", "password": password, "totp": totp(t, made.EnrolTotp.Secret, step+1), "token": "x"}); status != http.StatusOK {
		t.Errorf("the next one: %s", b)
	}
	if code := ada.ask(`mutation{removeTotp(password:"wrong password")}`, nil, nil); code != "sign_in_failed" {
		t.Errorf("removed without the password: %q", code)
	}
	// The secret is not in the database as it is.
	a, err := w.db.Read().People().Accounts().ByName(w.ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(made.EnrolTotp.Secret)
	if bytes.Contains(a.TOTP, key) {
		t.Error("the secret is stored in the clear")
	}
}

// TestS13NothingSecretIsStoredOrLogged: secrets are looked for in the database, the
// log, the audit trail and the API.
func TestS13NothingSecretIsStoredOrLogged(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", nixspace.StandingMember, "shop", nixspace.RoleDeveloper)
	var made struct{ CreateToken struct{ Secret string } }
	ada.must(`mutation{createToken(input:{name:"ci"}){secret}}`, nil, &made)
	(&client{w: w, token: made.CreateToken.Secret}).must(`{viewer{name}}`, nil, nil)
	_, _ = ada.signIn(map[string]any{"name": "ada", "password": "another wrong one"})
	if code := ada.ask(`mutation{setPassword(old:"`+password+`",new:"a brand new password")}`, nil, nil); code != "" {
		t.Fatal(code)
	}
	secrets := []string{ada.token, made.CreateToken.Secret, password, "a brand new password", "another wrong one", w.token}
	var dump strings.Builder
	for _, table := range []string{"accounts", "credentials", "audit", "events", "users"} {
		rows, err := w.db.Pool().Query(w.ctx, "SELECT t::text FROM "+table+" AS t")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			dump.WriteString(s + "\n")
		}
		rows.Close()
	}
	_, tokens := ada.do(http.MethodPost, "/graphql", map[string]any{"query": `{tokens{id name kind madeFrom}}`})
	for where, text := range map[string]string{"the database": dump.String(), "the log": w.log.String(), "the API": string(tokens)} {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s has a secret", where)
			}
		}
	}
	if !strings.Contains(dump.String(), "$argon2id$") {
		t.Error("no password is stored by argon2id")
	}
}

// TestS14Audit: something is done that is not in the trail, the trail is changed,
// and lines are forged in it.
func TestS14Audit(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", nixspace.StandingMember, "shop", nixspace.RoleViewer)
	_ = ada.ask(`mutation{startSession(input:{ref:"shop"}){id}}`, nil, nil)
	_ = ada.ask(`mutation($r:String!){stopSession(ref:$r){id}}`, map[string]any{"r": "x\n2026-01-01 root Mutation.setUser \x1b[31m=cmd()"}, nil)
	_, _ = ada.do(http.MethodGet, "/api/v1/sessions/"+string(w.session.ID)+"/exec", nil)
	w.owner().must(`mutation{protectEnvironment(ref:"shop"){id}}`, nil, nil)
	var trail struct {
		Audit []struct{ Actor, Operation, Target, Outcome, From string }
	}
	w.owner().must(`{audit(first:1000){actor operation target outcome from}}`, nil, &trail)
	b, _ := json.Marshal(trail)
	for _, want := range []string{
		`{"Actor":"ada","Operation":"join","Target":"ada","Outcome":"ok","From":"127.0.0.1 Go-http-client/1.1"}`,
		`{"Actor":"ada","Operation":"Mutation.startSession","Target":"shop","Outcome":"role_insufficient","From":"127.0.0.1 Go-http-client/1.1"}`,
		`"Operation":"GET /api/v1/sessions/{ref}/exec","Target":"` + string(w.session.ID) + `","Outcome":"role_insufficient"`,
		`{"Actor":"root","Operation":"Mutation.protectEnvironment","Target":"shop","Outcome":"ok","From":"127.0.0.1 Go-http-client/1.1"}`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the trail lacks %s:\n%s", want, b)
		}
	}
	for _, e := range trail.Audit {
		if strings.ContainsAny(e.Target, "\n\x1b") {
			t.Errorf("a target has several lines: %q", e.Target)
		}
	}
	for _, sql := range []string{"UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"} {
		if _, err := w.db.Pool().Exec(w.ctx, sql); err == nil {
			t.Errorf("%s: the trail can be changed", sql)
		}
	}
}
