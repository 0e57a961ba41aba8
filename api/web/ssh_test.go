package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace/api/sshd"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app/helper/helpertest"
)

// openSSH is a machine as OpenSSH's client knows it.
type openSSH struct {
	t    *testing.T
	args []string // of every program
	dir  string   // the machine's own folder
}

// withSSH starts a server, and what leads OpenSSH to the session's socket.
func withSSH(t *testing.T) openSSH {
	t.Helper()
	for _, name := range []string{"ssh", "sftp", "scp"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("needs OpenSSH's client")
		}
	}
	helpertest.Use(t)
	sh, err := sshd.New(bytes.Repeat([]byte("k"), 32), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	s, a := withAgent(t, func(c *web.Config) { c.SSH = sh })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.sshClient(ctx, conn) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte("nixspace "+sh.HostKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o := openSSH{t: t, dir: filepath.Join(a.root, "workspace")}
	for _, opt := range []string{
		"Port=" + port, "User=dev", "HostKeyAlias=nixspace", "UserKnownHostsFile=" + known, "GlobalKnownHostsFile=/dev/null",
		"StrictHostKeyChecking=yes", "BatchMode=yes", "LogLevel=ERROR", "ExitOnForwardFailure=yes",
	} {
		o.args = append(o.args, "-o", opt)
	}
	o.args = append([]string{"-F", "/dev/null"}, o.args...)
	return o
}

// sshClient joins a connection of an SSH client with the server's socket.
func (s *server) sshClient(ctx context.Context, local net.Conn) {
	defer local.Close()
	conn, _, err := websocket.Dial(ctx, "ws://"+s.addr+"/api/v1/sessions/shop%2F1/ssh", &websocket.DialOptions{
		HTTPClient: s.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{web.DialProtocol},
	})
	if err != nil {
		s.t.Errorf("the socket: %v", err)
		return
	}
	conn.SetReadLimit(1 << 20)
	remote := websocket.NetConn(ctx, conn, websocket.MessageBinary)
	defer remote.Close()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(remote, local)
		_ = remote.Close()
	})
	_, _ = io.Copy(local, remote)
	_ = local.Close()
	up.Wait()
}

// run runs one of OpenSSH's programs.
func (o openSSH) run(stdin, name string, args ...string) (out, errs string, code int) {
	o.t.Helper()
	cmd := exec.CommandContext(deadline(o.t), name, append(append([]string{}, o.args...), args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

func TestOpenSSH(t *testing.T) {
	o := withSSH(t)

	t.Run("exec", func(t *testing.T) {
		o.t = t
		out, errs, code := o.run("in", "ssh", "-o", "SetEnv=WHAT=this", "127.0.0.1", "cat; echo out; echo err >&2; echo $WHAT; exit 7")
		if out != "inout\nthis\n" || errs != "err\n" || code != 7 {
			t.Errorf("%q, %q, %d", out, errs, code)
		}
	})
	t.Run("a shell on a terminal", func(t *testing.T) {
		o.t = t
		out, _, code := o.run("tty; exit 3\n", "ssh", "-tt", "127.0.0.1")
		if !strings.Contains(out, "/dev/pts/") || code != 3 {
			t.Errorf("%q, %d", out, code)
		}
	})
	t.Run("much in and out", func(t *testing.T) {
		o.t = t
		in := strings.Repeat("0123456789abcdef", 1<<17)
		if out, errs, code := o.run(in, "ssh", "127.0.0.1", "cat"); out != in || code != 0 {
			t.Errorf("%d bytes of %d, %q, %d", len(out), len(in), errs, code)
		}
	})
	t.Run("sftp and scp", func(t *testing.T) {
		o.t = t
		dir := t.TempDir()
		file := filepath.Join(dir, "a file")
		want := bytes.Repeat([]byte("x\x00y"), 100_000)
		if err := os.WriteFile(file, want, 0o640); err != nil {
			t.Fatal(err)
		}
		if out, errs, code := o.run("mkdir sub\nput \""+file+"\" sub/b\nrename sub/b sub/c\nls sub\n", "sftp", "-b", "-", "127.0.0.1"); code != 0 || !strings.Contains(out, "sub/c") {
			t.Fatalf("%q, %q, %d", out, errs, code)
		}
		if got, err := os.ReadFile(filepath.Join(o.dir, "sub", "c")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, errs, code := o.run("", "scp", "-r", "127.0.0.1:sub", filepath.Join(dir, "back")); code != 0 {
			t.Fatalf("%q, %d", errs, code)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "back", "c")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("no such subsystem", func(t *testing.T) {
		o.t = t
		if _, _, code := o.run("", "ssh", "-s", "127.0.0.1", "netconf"); code == 0 {
			t.Error("it was started")
		}
	})
	t.Run("ports and sockets", func(t *testing.T) {
		o.t = t
		served := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })}
		path := filepath.Join(t.TempDir(), "s")
		for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", path}} {
			l, err := net.Listen(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() { _ = served.Serve(l) })
			t.Cleanup(func() { _ = served.Close(); serving.Wait() })
			to := path
			if tcp, ok := l.Addr().(*net.TCPAddr); ok {
				to = "localhost:" + strconv.Itoa(tcp.Port)
			}
			// -W joins standard input and output with one connection, by the channels of -L.
			args := []string{"-W", to, "127.0.0.1"}
			if at[0] == "unix" {
				local := filepath.Join(t.TempDir(), "l")
				args = []string{"-L", local + ":" + to, "127.0.0.1", "read -r line; echo $line; read -r line"}
				if got := o.through(local, args); got != "served" {
					t.Errorf("the socket answers %q", got)
				}
				continue
			}
			out, errs, _ := o.run("GET / HTTP/1.0\r\n\r\n", "ssh", args...)
			if !strings.HasSuffix(out, "served") {
				t.Errorf("the port answers %q, %q", out, errs)
			}
		}
	})
	t.Run("other hosts", func(t *testing.T) {
		o.t = t
		if _, errs, code := o.run("", "ssh", "-v", "-W", "192.0.2.1:80", "127.0.0.1"); code == 0 || !strings.Contains(errs, "only ports of the session itself") {
			t.Errorf("%q, %d", errs, code)
		}
	})
	t.Run("another host key", func(t *testing.T) {
		o.t = t
		known := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(known, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		other := o
		other.args = append([]string{"-o", "UserKnownHostsFile=" + known}, o.args...) // the first value holds
		if _, errs, code := other.run("", "ssh", "127.0.0.1", "true"); code == 0 || !strings.Contains(errs, "Host key verification failed") {
			t.Errorf("%q, %d", errs, code)
		}
	})
}

// through starts ssh with a forwarded socket, asks at its end here, and ends it.
func (o openSSH) through(local string, args []string) string {
	o.t.Helper()
	cmd := exec.CommandContext(deadline(o.t), "ssh", append(append([]string{}, o.args...), args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	// The command runs once the forwarding is set up.
	if _, err := io.WriteString(in, "up\n"); err != nil {
		o.t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		o.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", local)
	}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://localhost/")
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func TestSSHNeedsAUser(t *testing.T) {
	sh, err := sshd.New(bytes.Repeat([]byte("k"), 32), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, func(c *web.Config) { c.SSH = sh })
	for _, path := range []string{"/api/v1/ssh", "/api/v1/sessions/shop%2F1/ssh"} {
		if status, answer, _ := s.do("GET", path, nil, "Authorization", "Bearer wrong"); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	conn, _, err := websocket.Dial(deadline(t), "ws://"+s.addr+"/api/v1/sessions/shop%2F1/ssh", &websocket.DialOptions{
		HTTPClient: s.http, Subprotocols: []string{web.DialProtocol},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}, "Origin": {"http://evil.example"}},
	})
	if err == nil {
		conn.CloseNow()
		t.Error("a page of another origin gets in")
	}
	if status, answer, _ := s.do("GET", "/api/v1/ssh", nil); status != http.StatusOK || !strings.Contains(answer, "ssh-ed25519 ") {
		t.Errorf("%d %s", status, answer)
	}
}
