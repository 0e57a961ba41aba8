//go:build system

package system

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// registry serves one package, tiny-lib 1.0.0, as npm asks for it. It listens on an
// address of the loopback interface to which programs use a proxy.
func registry(t *testing.T) *httptest.Server {
	t.Helper()
	var tgz bytes.Buffer
	z := gzip.NewWriter(&tgz)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{
		"package/package.json": `{"name": "tiny-lib", "version": "1.0.0", "main": "index.js"}`,
		"package/index.js":     `module.exports = "from the registry";`,
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(tgz.Bytes())
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tiny-lib", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"name": "tiny-lib", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "tiny-lib", "version": "1.0.0",
			"dist": {"tarball": "%s/tiny-lib/-/tiny-lib-1.0.0.tgz", "integrity": "sha512-%s"}}}}`, base, base64.StdEncoding.EncodeToString(sum[:]))
	})
	mux.HandleFunc("GET /tiny-lib/-/tiny-lib-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tgz.Bytes()) })
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

const webManifest = `schema = 1

[packages]
nodejs = "22"

[services.migrate]
command = "sleep 1; echo done >/workspace/migrated"
restart = "never"
ready = "false"

[services.web]
command = "test -e migrated && exec node server.js"
port = 3000
depends-on = ["migrate"]
ready-http = "/health"
restart-delay = "100ms"
env.GREETING = "hello"

[network]
egress = ["%s"]
`

const webServer = `require("http").createServer((q, r) => {
	if (q.url === "/crash") process.exit(7)
	r.end(process.env.GREETING + " " + process.pid + "\n")
}).listen(3000, "127.0.0.1", () => console.log("listening"))
`

// TestServicesAndNetwork runs services of a project's own in a real machine, and a
// package manager that gets out of it.
func TestServicesAndNetwork(t *testing.T) {
	npm := registry(t)
	state := stateDir(t)
	s := up(t, state, "--no-quickstart", "--allow-private-networks")
	dir := t.TempDir()
	for name, text := range map[string]string{"nixspace.toml": fmt.Sprintf(webManifest, npm.Listener.Addr()), "server.js": webServer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, state, "create", "web", dir)
	ok(t, state, "start", "web")
	type service struct {
		Name     string `json:"name"`
		State    string `json:"state"`
		Restarts int    `json:"restarts"`
		ExitCode *int   `json:"exitCode"`
		Ports    []int  `json:"ports"`
	}
	services := func() map[string]service {
		t.Helper()
		list := okJSON[struct {
			Services []service `json:"services"`
		}](t, state, "services", "web/1")
		out := map[string]service{}
		for _, s := range list.Services {
			out[s.Name] = s
		}
		return out
	}
	get := func(path string) string {
		t.Helper()
		r := cli(t, state, "exec", "web/1", "--", "node", "-e", `fetch("http://127.0.0.1:3000`+path+`").then(r => r.text()).then(t => console.log(t.trim()), e => console.log("none"))`)
		return strings.TrimSpace(r.stdout)
	}
	all := services()
	if m := all["migrate"]; m.State != "done" || m.ExitCode == nil || *m.ExitCode != 0 {
		t.Errorf("%+v", m)
	}
	if w := all["web"]; w.State != "ready" || len(w.Ports) != 1 || w.Ports[0] != 3000 {
		t.Errorf("%+v", w)
	}
	first := get("/")
	if !strings.HasPrefix(first, "hello ") {
		t.Fatalf("it says %q", first)
	}
	get("/crash")
	eventually(t, "the service is back", func() bool { w := services()["web"]; return w.State == "ready" && w.Restarts == 1 })
	if w := services()["web"]; w.ExitCode == nil || *w.ExitCode != 7 {
		t.Errorf("%+v", w)
	}
	ok(t, state, "services", "web/1", "stop", "web")
	if got := get("/"); got != "none" {
		t.Errorf("after it was stopped it says %q", got)
	}
	// A stopped service stays stopped over a hibernation, and a fork.
	ok(t, state, "hibernate", "web/1")
	ok(t, state, "resume", "web/1")
	if w := services()["web"]; w.State != "stopped" {
		t.Errorf("after a hibernation: %+v", w)
	}
	ok(t, state, "services", "web/1", "start", "web")
	if second := get("/"); !strings.HasPrefix(second, "hello ") || second == first {
		t.Errorf("after it was started again it says %q", second)
	}
	if log := ok(t, state, "logs", "web/1", "web", "--grep", "listening"); strings.Count(log, "listening") < 3 {
		t.Errorf("its log has %q", log)
	}

	out := ok(t, state, "exec", "web/1", "--", "sh", "-c",
		"npm install --no-audit --no-fund --registry "+npm.URL+" tiny-lib >&2 && node -p 'require(\"tiny-lib\")'")
	if out != "from the registry\n" {
		t.Errorf("npm: %q", out)
	}
	r := cli(t, state, "exec", "web/1", "--", "node", "-e", `const u = new URL(process.env.HTTP_PROXY)
		require("http").get({ host: u.hostname, port: u.port, path: "http://other.example/" }, async r => {
			let t = ""; for await (const c of r) t += c; console.log(r.statusCode, t)
		})`)
	if !strings.HasPrefix(r.stdout, "403 NixSpace: this environment may not reach other.example:80") || !strings.Contains(r.stdout, `egress = ["other.example"]`) {
		t.Errorf("another host: %q %q", r.stdout, r.stderr)
	}
	eventually(t, "the counts are told", func() bool {
		network := ok(t, state, "network", "web/1")
		return strings.Contains(network, npm.Listener.Addr().String()) && strings.Contains(network, "other.example:80")
	})
	ok(t, state, "stop", "web/1")
	if gone := ok(t, state, "gc", "--older-than", "0s"); !strings.Contains(gone, "web/web/1") || !strings.Contains(gone, "layer") {
		t.Errorf("collected: %s", gone)
	}
	s.interrupt()
	nothingLeft(t, state)
}
