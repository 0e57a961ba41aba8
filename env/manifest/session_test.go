package manifest

import (
	"strings"
	"testing"
	"time"
)

func TestSession(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"":                                       time.Hour,
		"[session]":                              time.Hour,
		"[session]\nhibernate-after = \"30m\"":   30 * time.Minute,
		"[session]\nhibernate-after = \"1h30m\"": 90 * time.Minute,
		"[session]\nhibernate-after = \"never\"": 0,
		"session.hibernate-after = \"1m\"":       time.Minute,
	} {
		m, err := Parse(FileName, []byte("schema = 1\n"+text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := m.Session.Idle(time.Hour); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		c := (&Resolved{Manifest: m}).Canonical()
		if has := strings.Contains(string(c.JSON()), "hibernate_after_ms"); has != strings.Contains(text, "after") {
			t.Errorf("%s: %s", text, c.JSON())
		}
	}
	for text, want := range map[string]string{
		"hibernate-after = \"59s\"":  "1m",
		"hibernate-after = \"721h\"": "720h",
		"hibernate-after = \"soon\"": "length of time",
		"hibernate-after = 30":       "must be text",
		"hibernate = \"30m\"":        "hibernate-after",
	} {
		_, err := Parse(FileName, []byte("schema = 1\n[session]\n"+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
