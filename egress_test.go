package nixspace

import "testing"

func TestEgressHost(t *testing.T) {
	for text, want := range map[string]string{
		"registry.example":       "registry.example",
		"Registry.Example.":      "registry.example",
		"*.example":              "*.example",
		"db.example:5432":        "db.example:5432",
		"db.example:*":           "db.example:*",
		"*.a.example:8443":       "*.a.example:8443",
		"localhost":              "localhost",
		"xn--bcher-kva.example":  "xn--bcher-kva.example",
		"3com.example":           "3com.example",
		"192.0.2.1":              "192.0.2.1",
		"192.0.2.1:80":           "192.0.2.1:80",
		"2001:DB8:0:0::1":        "2001:db8::1",
		"[2001:db8::1]":          "2001:db8::1",
		"[2001:db8::1]:443":      "[2001:db8::1]:443",
		"[2001:db8::1]:*":        "[2001:db8::1]:*",
		"[::ffff:192.0.2.1]:443": "192.0.2.1:443",
	} {
		h, err := ParseEgressHost(text)
		if err != nil || h.String() != want {
			t.Errorf("%s is %v, %v, want %s", text, h, err, want)
			continue
		}
		if again, err := ParseEgressHost(h.String()); err != nil || again != h {
			t.Errorf("%s read again is %v, %v", h, again, err)
		}
	}
	for _, text := range []string{
		"", "*", ".", "a..b", "-a.example", "a-.example", "a b", "a/b", "http://a.example", "a.example:", "a.example:0", "a.example:65536",
		"a.example:080", "a.example:+80", "user@a.example", "*.192.0.2.1", "a.*.example", "bücher.example", "127.1", "0x7f.1", "2130706433",
		"[::1", "::1]", "[a.example]:80", "fe80::1%eth0", "[192.0.2.1]:80", "a.example\n", "a.example:80:80",
	} {
		if h, err := ParseEgressHost(text); err == nil {
			t.Errorf("%q is %v", text, h)
		}
	}
}

func TestEgressHostMatches(t *testing.T) {
	for _, test := range []struct {
		rule, name string
		port       int
		want       bool
	}{
		{"a.example", "a.example", 443, true},
		{"a.example", "a.example", 80, true},
		{"a.example", "a.example", 22, false},
		{"a.example", "b.a.example", 443, false},
		{"a.example", "xa.example", 443, false},
		{"*.example", "a.example", 443, true},
		{"*.example", "b.a.example", 443, true},
		{"*.example", "example", 443, false},
		{"*.example", "aexample", 443, false},
		{"a.example:5432", "a.example", 5432, true},
		{"a.example:5432", "a.example", 443, false},
		{"a.example:*", "a.example", 1, true},
		{"192.0.2.1", "192.0.2.1", 80, true},
		{"192.0.2.1", "192.0.2.11", 80, false},
	} {
		h, err := ParseEgressHost(test.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Matches(test.name, test.port); got != test.want {
			t.Errorf("%s matches %s:%d: %v", test.rule, test.name, test.port, got)
		}
	}
}

func FuzzParseEgressHost(f *testing.F) {
	for _, s := range []string{"a.example", "*.b.example:*", "[::1]:443", "1.2.3.4:1", ":", "[", "]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseEgressHost(s)
		if err != nil {
			return
		}
		again, err := ParseEgressHost(h.String())
		if err != nil || again != h {
			t.Fatalf("%q is %+v, read again %+v, %v", s, h, again, err)
		}
	})
}
