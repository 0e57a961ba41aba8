// Package preview shows what programs in sessions serve: each port of a session on
// a host of its own, to those who may see it.
//
// A preview is somebody's code, which the platform does not trust. It has an origin
// of its own, so pages of it cannot act as the user on the platform. The platform
// hands a browser over with a ticket that is good once; the preview's host turns it
// into a cookie that is good there alone. Neither that cookie nor the platform's
// cookie or token ever reaches the session.
package preview

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/people"
)

// defaultDomain needs nothing to be set up: browsers take names below it for this
// machine.
const defaultDomain = "localhost"

// App is what previews ask for.
type App interface {
	Session(ctx context.Context, ref string) (*nixspace.Session, error)
	Machine(ctx context.Context, ref string) (nixspace.Machine, error)
	// Admit returns the context of a request of an actor; see [people.UseCases.Admit].
	Admit(ctx context.Context, actor nixspace.Actor) (context.Context, func(), error)
}

// Authenticator says on whose behalf a request to the platform acts.
type Authenticator interface {
	Authenticate(r *http.Request) (nixspace.Actor, error)
}

// Config is what a Proxy is made of.
type Config struct {
	App    App
	Auth   Authenticator
	Log    *slog.Logger
	Domain string // below which previews have their hosts; localhost when empty
	// Platform is the address of the platform for people, for links back.
	Platform string
	// Key signs cookies: at least 32 secret bytes. They are good as long as it is.
	Key []byte
}

// Proxy serves previews. It is safe for concurrent use.
type Proxy struct {
	cfg     Config
	domain  string
	passes  signer
	tickets *tickets
	now     func() time.Time

	mu    sync.Mutex
	ports map[portKey]*port

	editor func(w http.ResponseWriter, r *http.Request, session nixspace.ID) // nil for none
}

// HandleEditor sets what serves the hosts of editors to those who may work in the
// session. It must be called before the first request.
func (p *Proxy) HandleEditor(serve func(w http.ResponseWriter, r *http.Request, session nixspace.ID)) {
	p.editor = serve
}

// Platform is the address of the platform for people; empty where none is known.
func (p *Proxy) Platform() string { return p.cfg.Platform }

// New returns a Proxy.
func New(cfg Config) *Proxy {
	domain := strings.Trim(strings.ToLower(cfg.Domain), ".")
	if domain == "" {
		domain = defaultDomain
	}
	return &Proxy{cfg: cfg, domain: domain, passes: signer{cfg.Key, "preview pass"}, tickets: newTickets(), now: time.Now, ports: map[portKey]*port{}}
}

// Link is the address of a preview.
type Link struct {
	URL  string `json:"url"`  // for those who have been there
	Open string `json:"open"` // good once, for a minute: it lets a browser in
	Port int    `json:"port"`
}

// Link returns the address of a port of a session for the actor in ctx. base is the
// address under which the platform was asked; path begins with a slash.
func (p *Proxy) Link(ctx context.Context, base *url.URL, session string, portNumber int, path string) (Link, error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return Link{}, err
	}
	if portNumber != Editor && (portNumber < 1 || portNumber > 65535) {
		return Link{}, nixspace.Errorf(nixspace.KindInvalid, "port_invalid", "%d is not a TCP port", portNumber)
	}
	s, err := p.cfg.App.Session(ctx, session)
	if err != nil {
		return Link{}, err
	}
	l := label(s, portNumber)
	host := l + "." + p.domain
	if _, hostPort, err := net.SplitHostPort(base.Host); err == nil {
		host = net.JoinHostPort(host, hostPort)
	}
	u := url.URL{Scheme: base.Scheme, Host: host, Path: "/"}
	link := Link{URL: u.String(), Port: portNumber}
	if to, ok := localPath(path); ok && to != "/" {
		link.URL = strings.TrimSuffix(link.URL, "/") + to
	} else {
		path = "/"
	}
	ticket := p.tickets.issue(claim{Label: l, Session: s.ID, Actor: actor.ID, Name: actor.Name, Credential: actor.Credential}, p.now())
	u.Path = openPath
	u.RawQuery = url.Values{"ticket": {ticket}, "to": {path}}.Encode()
	link.Open = u.String()
	return link, nil
}

// LinkOf is Link for the host of a preview, as a browser knows it.
func (p *Proxy) LinkOf(ctx context.Context, base *url.URL, host, path string) (Link, error) {
	first, rest := split(host)
	t, ok := parseLabel(first)
	if !ok || rest != p.domain {
		return Link{}, nixspace.Errorf(nixspace.KindInvalid, "preview_unknown", "%q is no address of a preview", host)
	}
	return p.Link(ctx, base, t.session, t.port, path)
}

// localPath returns a path with its query, if it is one that stays on its host.
func localPath(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n") {
		return "/", false
	}
	return s, true
}

// The addresses of a preview's host that are the platform's own.
const (
	ownPath  = "/.nixspace/"
	openPath = ownPath + "open"
)

// ServeHTTP answers a request to a host that [Proxy.Owns].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, rest := split(r.Host)
	t, ok := parseLabel(first)
	if !ok || rest != p.domain {
		show(w, r, page{
			Status: http.StatusMisdirectedRequest, Code: "preview_unknown", Title: "No such preview", Text: "This is no address of a preview.",
			Hint: "nixspace preview SESSION prints them.",
		})
		return
	}
	if strings.HasPrefix(r.URL.Path, ownPath) {
		p.own(w, r, first)
		return
	}
	c, ok := p.visitor(r, first, t)
	if !ok {
		p.refuse(w, r)
		return
	}
	if !sameOrigin(r) {
		show(w, r, page{Status: http.StatusForbidden, Code: "origin_forbidden", Title: "Not from there", Text: "A page of another origin may not send requests here."})
		return
	}
	// The cookie says who they are. What they may see, and whether they may still come
	// in, is asked anew each time, and what is open ends when they may not any more.
	op := people.OpPreview
	if t.port == Editor {
		op = people.OpEditor
	}
	ctx, done, err := p.admit(r.Context(), c, op)
	if err != nil {
		p.refuse(w, r)
		return
	}
	defer done()
	r = r.WithContext(ctx)
	if t.port != Editor {
		p.forward(w, r, c.Session, t.port)
		return
	}
	if p.editor == nil {
		show(w, r, page{Status: http.StatusNotFound, Code: "editor_missing", Title: "There is no editor", Text: "This server was built without it."})
		return
	}
	forwardCookies(r.Header)
	p.editor(w, r, c.Session)
}

// own answers what is the platform's on a preview's host.
func (p *Proxy) own(w http.ResponseWriter, r *http.Request, host string) {
	if r.URL.Path != openPath || r.Method != http.MethodGet {
		show(w, r, page{Status: http.StatusNotFound, Code: "route_unknown", Title: "Nothing here", Text: "There is nothing at this address."})
		return
	}
	q := r.URL.Query()
	c, ok := p.tickets.redeem(q.Get("ticket"), host, p.now())
	if !ok {
		p.refuse(w, r)
		return
	}
	c.Expires = p.now().Add(passLife).UnixMilli()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: p.passes.sign(c), Path: "/", MaxAge: int(passLife / time.Second),
		HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteLaxMode,
	})
	to, _ := localPath(q.Get("to"))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// cookieName keeps apart the previews of several servers of one machine.
func cookieName(r *http.Request) string {
	name := "nixspace-preview"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		name += "-" + port
	}
	if secure(r) {
		return "__Host-" + name
	}
	return name
}

func secure(r *http.Request) bool { return r.TLS != nil }

// visitor says on whose behalf a request acts: by the preview's own cookie or, for
// programs, by the platform's token, which it takes away.
func (p *Proxy) visitor(r *http.Request, host string, t target) (claim, bool) {
	if r.Header.Get("Authorization") != "" {
		probe := &http.Request{Method: http.MethodGet, Host: r.Host, Header: http.Header{"Authorization": r.Header["Authorization"]}, URL: &url.URL{Path: "/"}}
		if actor, err := p.cfg.Auth.Authenticate(probe); err == nil {
			r.Header.Del("Authorization")
			c := claim{Session: nixspace.ID(t.session), Actor: actor.ID, Name: actor.Name, Credential: actor.Credential}
			ctx, done, err := p.admit(r.Context(), c, people.OpPreview)
			if err != nil {
				return claim{}, false
			}
			defer done()
			s, err := p.cfg.App.Session(ctx, t.session)
			if err != nil {
				return claim{}, false
			}
			c.Session = s.ID
			return c, true
		}
	}
	for _, c := range r.CookiesNamed(cookieName(r)) {
		if pass, ok := p.passes.open(c.Value, host, p.now()); ok {
			return pass, true
		}
	}
	return claim{}, false
}

// admit returns the context of a request of who has a claim, if they may still see
// the session.
func (p *Proxy) admit(ctx context.Context, c claim, op string) (context.Context, func(), error) {
	ctx, done, err := p.cfg.App.Admit(ctx, nixspace.Actor{ID: c.Actor, Name: c.Name, Credential: c.Credential})
	if err != nil {
		return nil, nil, err
	}
	within, err := people.Authorize(ctx, op)
	if err == nil && nixspace.AccessFrom(within) != nil {
		_, err = p.cfg.App.Session(within, string(c.Session))
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return within, done, nil
}

// refuse says how to get in.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request) {
	link := ""
	if p.cfg.Platform != "" {
		link = strings.TrimSuffix(p.cfg.Platform, "/") + "/preview?" + url.Values{"host": {r.Host}, "to": {r.URL.RequestURI()}}.Encode()
		if r.URL.Path == openPath {
			link = strings.TrimSuffix(p.cfg.Platform, "/") + "/preview?" + url.Values{"host": {r.Host}, "to": {"/"}}.Encode()
		}
	}
	show(w, r, page{
		Status: http.StatusUnauthorized, Code: "preview_private", Title: "This preview is private",
		Text: "It is shown to those who may work in its session.", Hint: "Open it through NixSpace, or print a new link with nixspace preview.",
		Link: link, Label: "Open it through NixSpace",
	})
}

// sameOrigin reports whether a request comes from a page of the preview itself, or is
// one that a person or a program made.
func sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(r.Header.Get("Sec-Fetch-Dest") == "document" || r.Header.Get("Sec-Fetch-Dest") == "")
}

func portText(n int) string { return strconv.Itoa(n) }
