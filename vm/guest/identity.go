package guest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// minEntropy is how many random bytes make two copies of a machine different.
const minEntropy = 32

// identify makes this machine itself. Every step must succeed: a copy of a machine
// that goes on with the identity or the random numbers of its origin is worse than
// none.
func (m *machine) identify(r wire.IdentityRequest) error {
	if err := checkIdentity(r); err != nil {
		return err
	}
	if r.UnixNano != 0 {
		if err := m.setTime(time.Unix(0, r.UnixNano)); err != nil {
			return err
		}
	}
	if err := addEntropy(r.Entropy); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(r.Hostname)); err != nil {
		return os.NewSyscallError("set host name", err)
	}
	if err := writeEpoch(r.Epoch); err != nil {
		return err
	}
	return writeEtc(map[string]string{
		"hostname":   r.Hostname + "\n",
		"machine-id": r.MachineID + "\n",
		"hosts":      "127.0.0.1 localhost " + r.Hostname + "\n::1 localhost " + r.Hostname + "\n",
	})
}

// epochFile tells programs that the machine has become another one, or goes on
// after a rest: its content is a number that changes each time.
const epochFile = "/run/nixspace/epoch"

func writeEpoch(epoch uint64) error {
	if err := os.MkdirAll(filepath.Dir(epochFile), 0o755); err != nil {
		return err
	}
	return writeAnew(epochFile, strconv.FormatUint(epoch, 10)+"\n")
}

func checkIdentity(r wire.IdentityRequest) error {
	invalid := func(what string) error {
		return nixspace.Errorf(nixspace.KindInvalid, "identity_invalid", "the machine's %s is not valid", what)
	}
	// By hand: to compile a pattern takes an emulated processor longer than the
	// rest of a restore.
	h := r.Hostname
	if h == "" || len(h) > 63 || h[0] == '-' || h[len(h)-1] == '-' || !madeOf(h, "abcdefghijklmnopqrstuvwxyz0123456789-") {
		return invalid("host name")
	}
	if len(r.MachineID) != 32 || !madeOf(r.MachineID, "0123456789abcdef") {
		return invalid("machine id")
	}
	if len(r.Entropy) < minEntropy || len(r.Entropy) > 4096 {
		return invalid("amount of randomness")
	}
	return nil
}

// madeOf reports whether s has no other characters than those of set.
func madeOf(s, set string) bool { return strings.Trim(s, set) == "" }

// addEntropy gives the kernel's random number generator new randomness and makes
// it use it at once, see random(4).
func addEntropy(b []byte) error {
	f, err := os.OpenFile("/dev/random", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	// struct rand_pool_info: how many bits it is worth, how many bytes follow.
	info := make([]byte, 8, 8+len(b)+4)
	binary.NativeEndian.PutUint32(info, uint32(8*len(b)))
	binary.NativeEndian.PutUint32(info[4:], uint32(len(b)))
	info = append(info, b...)
	const reseed = 0x5207 // RNDRESEEDCRNG
	_, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0])))
	if e != 0 {
		return os.NewSyscallError("add entropy", e)
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), reseed, 0); e != 0 {
		return os.NewSyscallError("reseed", e)
	}
	return nil
}

// writeEtc replaces files in /etc.
func writeEtc(files map[string]string) error {
	var errs []error
	for name, content := range files {
		tmp := "/etc/." + name + ".new"
		err := os.WriteFile(tmp, []byte(content), 0o644)
		if err == nil {
			err = os.Rename(tmp, "/etc/"+name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
