// Package listening knows which TCP ports the programs of a guest listen on.
package listening

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

const (
	portsMax   = 256     // ports that are reported
	tableMax   = 4 << 20 // bytes of a table of the kernel's that are read
	listenMark = "0A"    // the state of a socket that listens
)

// Table knows which TCP ports programs listen on. Whose they are is looked for only
// when the ports have changed: it means looking at every process. The zero Table is
// ready; it is not safe for concurrent use.
type Table struct {
	sockets map[string]int // by the inode of the socket
	ports   []nixspace.ListeningPort
}

// List returns the ports that can be reached from within the guest, by number.
func (p *Table) List() []nixspace.ListeningPort {
	sockets := map[string]int{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue // a kernel without IPv6
		}
		readListening(io.LimitReader(f, tableMax), sockets)
		_ = f.Close()
	}
	if p.sockets != nil && len(sockets) == len(p.sockets) {
		same := true
		for inode, port := range sockets {
			same = same && p.sockets[inode] == port
		}
		if same {
			return p.ports
		}
	}
	owners := socketOwners(sockets)
	byPort := map[int]nixspace.ListeningPort{}
	for inode, port := range sockets {
		l := nixspace.ListeningPort{Port: port}
		if pid := owners[inode]; pid > 0 {
			l.PID, l.Process = pid, processName(pid)
		}
		if byPort[port].PID == 0 || l.PID > 0 && l.PID < byPort[port].PID {
			byPort[port] = l
		}
	}
	ports := make([]nixspace.ListeningPort, 0, len(byPort))
	for _, l := range byPort {
		ports = append(ports, l)
	}
	slices.SortFunc(ports, func(a, b nixspace.ListeningPort) int { return a.Port - b.Port })
	p.sockets, p.ports = sockets, ports[:min(len(ports), portsMax)]
	return p.ports
}

// readListening reads a table as /proc/net/tcp is one, and adds the sockets that
// listen where a connection from the guest itself arrives.
func readListening(r io.Reader, sockets map[string]int) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listenMark {
			continue
		}
		host, portHex, ok := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(portHex, 16, 16)
		if !ok || err != nil || port == 0 || !reachable(host) || f[9] == "0" {
			continue
		}
		sockets[f[9]] = int(port)
	}
}

// reachable reports whether an address of the table is that of all interfaces or
// of the loopback one. The kernel writes addresses as words of the machine's own
// order.
func reachable(host string) bool {
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return false
	}
	for w := 0; w < len(b); w += 4 {
		slices.Reverse(b[w : w+4])
	}
	addr, _ := netip.AddrFromSlice(b)
	addr = addr.Unmap()
	return addr.IsUnspecified() || addr.IsLoopback()
}

// socketOwners returns the first process that holds each of the sockets.
func socketOwners(sockets map[string]int) map[string]int {
	owners := map[string]int{}
	procs, err := os.ReadDir("/proc")
	if err != nil || len(sockets) == 0 {
		return owners
	}
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + proc.Name() + "/fd"
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds {
			target, err := os.Readlink(dir + "/" + fd.Name())
			if err != nil {
				continue
			}
			inode, ok := strings.CutPrefix(target, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if _, wanted := sockets[inode]; ok && wanted && owners[inode] == 0 {
				owners[inode] = pid
			}
		}
		if len(owners) == len(sockets) {
			break
		}
	}
	return owners
}

// processName returns what people call a process: its program, or the script that
// an interpreter runs.
func processName(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err == nil && len(b) > 0 {
		args := bytes.Split(bytes.TrimRight(b[:min(len(b), 4096)], "\x00"), []byte{0})
		name := base(string(args[0]))
		// Only some interpreters are named with what they run: arguments may be
		// anything, secrets included.
		if len(args) > 1 && isInterpreter(name) && !bytes.HasPrefix(args[1], []byte("-")) {
			name += " " + base(string(args[1]))
		}
		if name = nixspace.OneLine(name, 48); name != "" {
			return name
		}
	}
	if b, err = os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm"); err != nil {
		return ""
	}
	return nixspace.OneLine(strings.TrimSpace(string(b)), 48)
}

func isInterpreter(name string) bool {
	for _, i := range []string{"node", "python", "ruby", "perl", "bun", "deno", "php", "bash", "sh"} {
		if rest, ok := strings.CutPrefix(name, i); ok && strings.Trim(rest, "0123456789.") == "" {
			return true
		}
	}
	return false
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
