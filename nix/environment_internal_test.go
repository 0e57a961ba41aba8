package nix

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/derivation"
)

const drvText = `Derive([("out","/nix/store/00000000000000000000000000000000-a","","")],[("/nix/store/11111111111111111111111111111111-b.drv",["out"])],[],"builtin","builtin:buildenv",[],[("name","a"),("out","/nix/store/00000000000000000000000000000000-a")])`

// A file that is no derivation is an error, never a panic; one that is can be hashed.
func FuzzDerivation(f *testing.F) {
	f.Add([]byte(drvText))
	f.Add([]byte(strings.Replace(drvText, `("name","a")`, `("__json","{\"name\":\"a\"}")`, 1)))
	f.Add([]byte(strings.Replace(drvText, `,"",""`, `,"r:sha256","00"`, 1)))
	f.Add([]byte(strings.Replace(drvText, `"a")`, `"")`, 1)))
	f.Add([]byte(`Derive([],[],[],"","",[],[])`))
	f.Add([]byte(`Derive([(`))
	f.Fuzz(func(t *testing.T, text []byte) {
		drv, err := parseDerivation(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		modulo := map[string]string{}
		for in := range drv.InputDerivations {
			modulo[in] = strings.Repeat("0", 64)
		}
		if _, err := drv.CalculateDrvReplacement(modulo); err != nil {
			t.Errorf("it was read but cannot be hashed: %v", err)
		}
		if _, err := drv.DrvPath(); err != nil {
			t.Errorf("it was read but has no path: %v", err)
		}
		if _, err := drv.CalculateOutputPaths(modulo); err != nil {
			t.Errorf("it was read but has no outputs: %v", err)
		}
	})
}

func TestParseDerivation(t *testing.T) {
	if drv, err := parseDerivation(strings.NewReader(drvText)); err != nil || drv.Name() != "a" {
		t.Errorf("got %+v, %v", drv, err)
	}
	for _, bad := range []string{
		"", "Derive", drvText[:len(drvText)/2],
		strings.Replace(drvText, `"a")`, `"")`, 1),
		strings.Replace(drvText, "/nix/store/1", "/etc/store/1", 1),
		strings.Replace(drvText, `("name","a"),`, "", 1),
	} {
		if drv, err := parseDerivation(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, drv)
		}
	}
	if _, err := parseDerivation(zeros{}); err == nil {
		t.Error("a file without an end was read")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Derivations that depend on each other in a circle, which only a damaged store can
// have, end in an error. Each is read once otherwise.
func TestDerivationsInput(t *testing.T) {
	path := func(i int) string { return fmt.Sprintf("/nix/store/%032d-d.drv", i) }
	reads := 0
	d := newDerivations()
	d.read = func(p string) (*derivation.Derivation, error) {
		reads++
		drv := &derivation.Derivation{
			Outputs: map[string]*derivation.Output{"out": {Path: strings.TrimSuffix(p, ".drv")}}, Platform: "x", Builder: "y",
			Env: map[string]string{"name": "d"}, InputDerivations: map[string][]string{},
		}
		var i int
		if _, err := fmt.Sscanf(strings.TrimPrefix(p, "/nix/store/"), "%032d", &i); err != nil {
			return nil, err
		}
		switch {
		case i == 666:
			drv.InputDerivations[p] = []string{"out"}
		case i == 13:
			return nil, errors.New("unlucky")
		case i > 0 && i <= 2000: // a lattice, in which the number of ways down doubles with each step
			drv.InputDerivations[path(i-1)] = []string{"out"}
			drv.InputDerivations[path(max(i-2, 0))] = []string{"out"}
		}
		return drv, nil
	}
	if _, err := d.input(path(666)); err == nil {
		t.Error("a circle has a hash")
	}
	if _, err := d.input(path(12)); err != nil || reads < 13 {
		t.Errorf("%d reads, %v", reads, err)
	}
	reads = 0
	for range 2 {
		if _, err := d.input(path(12)); err != nil || reads != 0 {
			t.Errorf("%d reads the second time, %v", reads, err)
		}
		if _, err := d.input(path(20)); err == nil || !strings.Contains(err.Error(), "unlucky") {
			t.Errorf("a derivation that cannot be read: %v", err)
		}
		reads = 0
	}
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]string{
		"nix (Nix) 2.8.0\n":                  "2.8.0 2 8",
		"nix (Nix) 2.34.8":                   "2.34.8 2 34",
		"nix (Nix) 2.4pre20211006_53e4794":   "2.4pre20211006_53e4794 2 4",
		"nix (Determinate Nix 3.5.2) 2.28.3": "2.28.3 2 28",
		"nix (Lix, like Nix) 2.91.1":         "2.91.1 2 91",
		"":                                   "",
		"bash":                               "",
		"nix (Nix) 99999999999999999999.1":   "",
	} {
		v, major, minor, err := parseVersion(in)
		if want == "" {
			if err == nil {
				t.Errorf("%q is version %s", in, v)
			}
			continue
		}
		if got := fmt.Sprint(v, major, minor); err != nil || strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%q: got %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestReason(t *testing.T) {
	for in, want := range map[string]string{
		"error: builder for '/x.drv' failed with exit code 2;\n       last 3 log lines:\n       > a": "builder for '/x.drv' failed with exit code 2",
		"error: Cannot build '/x.drv'.\n       Reason: builder failed with exit code 1.\n":           "builder failed with exit code 1",
		"": "",
	} {
		if got := reason(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
