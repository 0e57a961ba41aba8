// Command toolbox is what guests of tests run: a static program with a few
// commands, so that a test needs no packages. It is called by the name of a
// command or with one as its first argument.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	args := os.Args
	if filepath.Base(args[0]) == "toolbox" {
		args = args[1:]
	}
	if len(args) == 0 {
		fail(fmt.Errorf("no command"))
	}
	name, args := filepath.Base(args[0]), args[1:]
	switch name {
	case "echo":
		fmt.Println(strings.Join(args, " "))
	case "cat": // FILE, or standard input
		in := io.Reader(os.Stdin)
		if len(args) > 0 {
			f, err := os.Open(args[0])
			fail(err)
			defer f.Close()
			in = f
		}
		_, err := io.Copy(os.Stdout, in)
		fail(err)
	case "write": // FILE TEXT
		fail(os.WriteFile(args[0], []byte(args[1]), 0o600))
	case "fill": // FILE MEBIBYTES
		f, err := os.Create(args[0])
		fail(err)
		for range number(args[1]) {
			_, err := f.Write(make([]byte, 1<<20))
			fail(err)
		}
		fail(f.Close())
	case "allocate": // MEBIBYTES
		b := make([]byte, number(args[0])<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		fmt.Println("allocated", len(b)>>20)
	case "processors":
		b, err := os.ReadFile("/proc/cpuinfo")
		fail(err)
		fmt.Println(strings.Count(string(b), "processor\t:"))
	case "interfaces":
		list, err := net.Interfaces()
		fail(err)
		for _, i := range list {
			fmt.Println(i.Name)
		}
	case "clock":
		fmt.Println(time.Now().UnixNano())
	case "sleep": // SECONDS
		time.Sleep(time.Duration(number(args[0])) * time.Second)
	case "append": // SCRIPT: a hook in .nixspace; it notes each run beside it, and fails when told to
		dir := filepath.Dir(filepath.Dir(args[0]))
		if _, err := os.Stat(filepath.Join(dir, "fail")); err == nil {
			fail(fmt.Errorf("told to fail"))
		}
		f, err := os.OpenFile(filepath.Join(dir, "appended"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		fail(err)
		_, err = fmt.Fprintln(f, "run")
		fail(err)
		fail(f.Close())
	case "flood": // writes without end
		line := []byte(strings.Repeat("flood ", 100) + "\n")
		for {
			_, err := os.Stdout.Write(line)
			fail(err)
		}
	case "bomb": // starts itself without end, and each of those does
		for {
			cmd := exec.Command("/proc/self/exe", "bomb")
			if err := cmd.Start(); err != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	case "exit": // CODE
		os.Exit(number(args[0]))
	case "ids":
		host, err := os.Hostname()
		fail(err)
		fmt.Println(os.Getuid(), os.Getgid(), host)
	case "fetch": // URL: by the proxy HTTP_PROXY, even from the loopback interface
		proxy, err := url.Parse(os.Getenv("HTTP_PROXY"))
		fail(err)
		client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
		res, err := client.Get(args[0])
		fail(err)
		defer res.Body.Close()
		sum := sha256.New()
		var text strings.Builder
		n, err := io.Copy(io.MultiWriter(sum, &text), res.Body)
		fail(err)
		if res.StatusCode != http.StatusOK {
			fail(fmt.Errorf("%s\n%s", res.Status, text.String()))
		}
		fmt.Printf("%d %x\n", n, sum.Sum(nil))
	case "serve": // PORT: sends back what it gets
		l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
		fail(err)
		fmt.Println("serving")
		for {
			c, err := l.Accept()
			fail(err)
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	default:
		fail(fmt.Errorf("%s is no command", name))
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	fail(err)
	return n
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
