package preview

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageStyle is the digest of the page's style, which its policy names.
var pageStyle = func() string {
	_, rest, _ := strings.Cut(pageHTML, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// page is what a person sees in the place of a preview.
type page struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Title   string `json:"title"`
	Text    string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Refresh int    `json:"-"` // seconds until it is asked for again; 0 for never
	Busy    bool   `json:"-"` // something goes on meanwhile
	Link    string `json:"-"`
	Label   string `json:"-"` // of the link
}

// show answers with a page, or with plain text where no person looks.
func show(w http.ResponseWriter, r *http.Request, p page) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+pageStyle+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if p.Refresh > 0 {
		h.Set("Retry-After", strconv.Itoa(p.Refresh))
	}
	if !navigates(r) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(p.Status)
		text := p.Code + ": " + p.Text
		if p.Hint != "" {
			text += "\n" + p.Hint
		}
		_, _ = w.Write([]byte(text + "\n"))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.Status)
	_ = pageTemplate.Execute(w, p) // a client that is gone has no use for it
}

// navigates reports whether a person opens an address.
func navigates(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("Upgrade") == ""
}
