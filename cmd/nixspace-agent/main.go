// Command nixspace-agent is the agent of a NixSpace guest.
//
// As the first process of a microVM it takes no arguments. As an ordinary process,
//
//	nixspace-agent --unix SOCKET --root DIR [--become]
//
// it serves the same protocol on a unix socket, one stream to a connection, with
// its folders under DIR and without touching the system around it. With --become,
// which needs root, programs run as the user 1000.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/nixspace/nixspace/vm/guest"
)

func main() {
	// A kernel hands its first process every parameter that it does not know, so
	// arguments mean something only where they begin as ours do.
	if os.Getpid() == 1 && (len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "--")) {
		guest.RunMachine()
	}
	socket, cfg, err := parse(os.Args[1:])
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		// They are caught to the very end: one that comes while the agent ends by itself
		// does not change how it ends.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		go func() {
			<-signals
			cancel()
		}()
		err = guest.RunProcess(ctx, cfg, socket)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nixspace-agent:", err)
		os.Exit(1)
	}
}

// parse reads the arguments. It is this simple, without a library, because every
// package that the agent links is initialised in every guest's start.
func parse(args []string) (socket string, cfg guest.Config, err error) {
	cfg.ReapAll = true
	for len(args) > 0 {
		flag := args[0]
		args = args[1:]
		if flag == "--become" {
			cfg.Become = true
			continue
		}
		if len(args) == 0 {
			return "", cfg, fmt.Errorf("%s needs a value or is unknown", flag)
		}
		switch flag {
		case "--unix":
			socket = args[0]
		case "--root":
			cfg.Root = args[0]
		default:
			return "", cfg, fmt.Errorf("unknown argument %s", flag)
		}
		args = args[1:]
	}
	if socket == "" || cfg.Root == "" {
		return "", cfg, fmt.Errorf("--unix SOCKET and --root DIR are needed outside a machine")
	}
	return socket, cfg, nil
}
