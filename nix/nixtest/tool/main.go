// Command tool is a builder of test derivations. Each argument is one step:
//
//	say:TEXT       print a line on stderr
//	lines:N        print N numbered lines
//	write:TEXT     make $out a file with the text
//	copyenv:NAME   make $out a file with the value of the variable
//	mkdir:PATH     make a directory below $out
//	file:PATH=TEXT make an executable file below $out
//	uid            make $out a file with the numeric user
//	phase:NAME     announce a phase, as stdenv does
//	wait           wait for ever
//	fail:N         exit with N
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	out := os.Getenv("out")
	for _, step := range os.Args[1:] {
		verb, arg, _ := strings.Cut(step, ":")
		var err error
		switch verb {
		case "say":
			fmt.Fprintln(os.Stderr, arg)
		case "lines":
			n, _ := strconv.Atoi(arg)
			for i := range n {
				fmt.Fprintln(os.Stderr, "line", i+1)
			}
		case "write":
			err = os.WriteFile(out, []byte(arg), 0o644)
		case "copyenv":
			err = os.WriteFile(out, []byte(os.Getenv(arg)), 0o644)
		case "mkdir":
			err = os.MkdirAll(filepath.Join(out, arg), 0o755)
		case "file":
			path, text, _ := strings.Cut(arg, "=")
			path = filepath.Join(out, path)
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, []byte(text), 0o755)
			}
		case "uid":
			err = os.WriteFile(out, []byte(strconv.Itoa(os.Getuid())), 0o644)
		case "phase":
			if log, e := os.OpenFile("/proc/self/fd/"+os.Getenv("NIX_LOG_FD"), os.O_WRONLY, 0); e == nil {
				_, err = fmt.Fprintf(log, "@nix {\"action\":\"setPhase\",\"phase\":%q}\n", arg)
			}
		case "wait":
			select {}
		case "fail":
			n, _ := strconv.Atoi(arg)
			os.Exit(n)
		default:
			err = fmt.Errorf("unknown step %q", step)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
