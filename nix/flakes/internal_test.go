package flakes

import (
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// drvText is a derivation without inputs.
func drvText(t *testing.T, name, value string) (path, out string, text []byte) {
	t.Helper()
	d := &derivation.Derivation{
		Outputs: map[string]*derivation.Output{"out": {}}, InputDerivations: map[string][]string{},
		Platform: system, Builder: "/b", Env: map[string]string{"name": name, "out": "", "system": system, "builder": "/b", "value": value},
	}
	outs, err := d.CalculateOutputPaths(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.Outputs["out"].Path, d.Env["out"] = outs["out"], outs["out"]
	var b strings.Builder
	if err := d.WriteDerivation(&b); err != nil {
		t.Fatal(err)
	}
	return daemon.FixedPath("text", name+".drv", sum([]byte(b.String()))), outs["out"], []byte(b.String())
}

// TestForged reads derivations that are not what their paths say: the box could be
// lying.
func TestForged(t *testing.T) {
	path, _, text := drvText(t, "one", "a")
	_, _, other := drvText(t, "one", "b")
	good := &evalbox.Result{DrvPath: path, Derivations: map[string][]byte{path: text}}
	if _, err := readGraph(good); err != nil {
		t.Fatal(err)
	}
	for name, drvs := range map[string]map[string][]byte{
		"another text":  {path: other},
		"no derivation": {path: []byte("nothing")},
		"not there":     {},
		"no store path": {path: text, "/etc/passwd": text},
		"another name":  {path: text, strings.Replace(path, "-one", "-two", 1): text},
	} {
		if _, err := readGraph(&evalbox.Result{DrvPath: path, Derivations: drvs}); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestPackageNames(t *testing.T) {
	g := &graph{outs: map[string]output{}}
	for path, want := range map[string][2]string{
		"/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-git-2.47.3":        {"git", "2.47.3"},
		"/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-conf":              {"conf", ""},
		"/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-python3-3.13.5":    {"python3", "3.13.5"},
		"/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-gcc-wrapper-14.2":  {"gcc-wrapper", "14.2"},
		"/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-openssl-3.5-dev.x": {"openssl", "3.5-dev.x"},
	} {
		if p := g.pkg(path); p.Name != want[0] || p.Version != want[1] {
			t.Errorf("%s: %q %q, want %q", path, p.Name, p.Version, want)
		}
	}
}

func TestStructuredShell(t *testing.T) {
	const tool = "/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-git-2.47.3"
	d := &derivation.Derivation{
		Outputs: map[string]*derivation.Output{"out": {Path: "/nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-shell"}}, InputSources: []string{tool},
		InputDerivations: map[string][]string{},
		Env:              map[string]string{"__json": `{"buildInputs":["` + tool + `"],"env":{"A":"1"},"B":"2","list":["x"],"bad name":"x","FAR":"/nix/store/55b43zsy6xv15xrxl335257sgldwd9vr-x/y"}`},
	}
	g := &graph{drvs: map[string]*derivation.Derivation{"/d": d}, outs: map[string]output{}}
	var out nixspace.FlakeOutput
	if err := g.describe(&evalbox.Result{DrvPath: "/d", Shell: true}, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Packages) != 1 || out.Packages[0].OutPath != tool || len(out.Env) != 2 || out.Env["A"] != "1" || out.Env["B"] != "2" {
		t.Errorf("%+v", out)
	}
	if strings.Join(out.Skipped, " ") != "FAR bad name" {
		t.Errorf("left out %q", out.Skipped)
	}
}
