// Command nixspace-guest does in a machine, as the user dev, what the server cannot
// do from outside: it is put there the first time that it is needed, and is no part
// of the guest's start.
//
//	nixspace-guest sftp               serves SFTP on standard input and output
//	nixspace-guest connect PATH       joins them with a unix socket
//	nixspace-guest find QUERY         prints the files whose names match
//	nixspace-guest search QUERY       prints the lines that match
//	nixspace-guest watch DIR          prints what changes
//	nixspace-guest git-lend SOCKET    passes on to the server what git asks there
//	nixspace-guest git-credential …   is git's credential helper, which asks there
package main

import (
	"fmt"
	"os"
)

// modes are what the program can do, by the first argument.
var modes = map[string]func(args []string) error{
	"sftp":    serveSFTP,
	"connect": connectUnix,
	"find":    find,
	"search":  search,
	"watch":   watch,

	"git-lend":       gitLend,
	"git-credential": gitCredential,
}

func main() {
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "nixspace-guest: this program is used by NixSpace itself")
		os.Exit(2)
	}
	if err := modes[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "nixspace-guest:", err)
		os.Exit(1)
	}
}
