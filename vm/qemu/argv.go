package qemu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/wire"
)

// maxLayers follows from the 24 virtio-mmio slots of a microvm: 23 devices are
// known to work, and the serial bus, the entropy source and a disk take three.
const maxLayers = 20

// translationCache is the size of TCG's cache of translated code, in MiB. By
// default QEMU takes up to a gigabyte, which no memory limit expects.
const translationCache = 192

// Overhead is how much host memory, in MiB, a machine may need beside its
// guest's memory.
func Overhead(accel string) int64 {
	if accel == "tcg" {
		return translationCache + 128
	}
	return 128
}

// clock is what a guest must be told about its time-stamp counter.
type clock struct{ khz int64 }

// fds names the inherited file descriptors of a machine's process.
type fds struct {
	data, control, monitor int
	kernel, initramfs      int
	memory                 int   // 0 for none
	drives                 []int // layers, then disks
}

// arguments returns QEMU's command line. Everything the process touches is
// handed to it as an open file: it needs no access to the host's file system
// beyond its own firmware, and runs under a user of its own.
func arguments(spec vm.Spec, accel string, c clock, fd fds) []string {
	args := []string{
		"-name", "nixspace-" + spec.ID,
		"-M", "microvm,rtc=on,isa-serial=on,dump-guest-core=off" + memoryOption(fd.memory),
		"-accel", accelerator(accel),
		"-cpu", processor(accel),
		"-smp", strconv.Itoa(spec.CPUs),
		"-m", strconv.FormatInt(spec.MemoryMiB, 10) + "M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-global", "virtio-mmio.force-legacy=false",
		"-chardev", "stdio,id=console,signal=off,mux=off", "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fd.monitor), "-mon", "chardev=monitor,mode=control",
		"-object", "rng-builtin,id=entropy", "-device", "virtio-rng-device,rng=entropy",
		"-device", "virtio-serial-device,max_ports=3",
		"-chardev", fmt.Sprintf("socket,id=data,fd=%d", fd.data),
		"-device", "virtserialport,nr=1,chardev=data,name=" + wire.PortData,
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", fd.control),
		"-device", "virtserialport,nr=2,chardev=control,name=" + wire.PortCtl,
	}
	if fd.memory != 0 {
		args = append(args, "-object", fmt.Sprintf("memory-backend-file,id=%s,size=%dM,mem-path=%s,share=%s,prealloc=off,merge=off,dump=off",
			memoryID, spec.MemoryMiB, fdPath(fd.memory), onOff(!spec.Memory.Shared)))
	}
	if spec.State != "" {
		// The kernel lies in the saved memory.
		args = append(args, "-incoming", "defer")
	} else {
		args = append(args, "-kernel", fdPath(fd.kernel), "-initrd", fdPath(fd.initramfs), "-append", kernelParameters(spec, accel, c))
	}
	for i, d := range append(append([]vm.Drive{}, spec.Layers...), spec.Disks...) {
		readOnly := i < len(spec.Layers)
		args = append(args, driveArguments(i, d, readOnly, fd.drives[i])...)
	}
	return args
}

// memoryID names the memory in a saved state, so it must stay as it is.
const memoryID = "memory"

func memoryOption(fd int) string {
	if fd == 0 {
		return ""
	}
	return ",memory-backend=" + memoryID
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func accelerator(accel string) string {
	if accel == "kvm" {
		return "kvm"
	}
	return fmt.Sprintf("tcg,thread=multi,tb-size=%d", translationCache)
}

// processor returns the processor that a guest sees. In software emulation some
// of what a processor can do makes it slower: "rep movsb" is emulated byte by
// byte, so programs must not think that it is fast; a fifth level of page tables
// is walked for nothing; and the switches that keep a kernel from touching its
// processes' memory each end a block of translated code. Without these a boot
// takes a tenth less.
func processor(accel string) string {
	if accel == "kvm" {
		return "host"
	}
	return "max,erms=off,fsrm=off,la57=off,pku=off,smap=off,smep=off,umip=off,mpx=off"
}

// driveArguments gives a machine an image that was opened for it. Layers are
// shared between machines, so they are not locked; a disk is.
func driveArguments(i int, d vm.Drive, readOnly bool, fd int) []string {
	node, set := fmt.Sprintf("drive%d", i), i+1
	file := fmt.Sprintf("driver=raw,node-name=%s,file.driver=file,file.filename=/dev/fdset/%d", node, set)
	device := fmt.Sprintf("virtio-blk-device,drive=%s,serial=%s", node, d.Serial)
	if readOnly {
		file += ",read-only=on,file.locking=off"
	} else {
		file += ",file.locking=auto,discard=unmap,detect-zeroes=unmap"
	}
	return []string{"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, set), "-blockdev", file, "-device", device}
}

// fdPath names an inherited descriptor by a path, for options that take no
// descriptor. Opening it needs permission on the file, but none on the folders
// above it.
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// kernelParameters is the guest kernel's command line. It must hold no word that
// the kernel does not know: those become arguments of the agent.
func kernelParameters(spec vm.Spec, accel string, c clock) string {
	p := []string{
		"console=ttyS0", "quiet", "loglevel=4", "8250.nr_uarts=1",
		"rdinit=/init",
		// A panic reboots at once, which ends the machine and is told apart from a
		// power-off.
		"panic=-1", "oops=panic",
		// The machine is the boundary; nothing in it is worth guarding from itself.
		"mitigations=off", "audit=0", "apparmor=0", "selinux=0", "init_on_alloc=0",
		// Nothing here tests or waits for hardware.
		"cryptomgr.notests", "random.trust_cpu=on", "random.trust_bootloader=on",
		"rcupdate.rcu_expedited=1", "no_timer_check",
	}
	if accel == "tcg" {
		// A microvm with ACPI has no timer against which a kernel could calibrate
		// its clock: in software emulation it would wait for one for ever. The
		// guest's counter is the host's. 250 is the kernel's HZ.
		p = append(p, "tsc=reliable", fmt.Sprintf("tsc_early_khz=%d", c.khz), fmt.Sprintf("lpj=%d", c.khz*1000/250))
	}
	if spec.Append != "" {
		p = append(p, spec.Append)
	}
	return strings.Join(p, " ")
}
