package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	loops = 10_000
	// maxPerLoop tells real virtualisation (less than a nanosecond for two
	// instructions) from an emulated one (microseconds).
	maxPerLoop = 50 * time.Nanosecond
)

// Requests and structures of the KVM API (Documentation/virt/kvm/api.rst).
const (
	kvmGetAPIVersion       = 0xae00
	kvmCreateVM            = 0xae01
	kvmGetVCPUMmapSize     = 0xae04
	kvmCreateVCPU          = 0xae41
	kvmRun                 = 0xae80
	kvmSetUserMemoryRegion = 0x4020ae46
	kvmGetSRegs            = 0x8138ae83
	kvmSetSRegs            = 0x4138ae84
	kvmSetRegs             = 0x4090ae82

	kvmExitIO = 2
)

type memoryRegion struct {
	slot, flags           uint32
	physical, size, local uint64
}

// timeLoop runs a loop in a 64-bit guest and returns what one round took. The
// guest runs in long mode because processors without "unrestricted guest" may
// emulate real mode for good reasons.
func timeLoop(device string) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	kvm, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", device, err)
	}
	defer unix.Close(kvm)
	if v, err := ioctl(kvm, kvmGetAPIVersion, 0); err != nil || v != 12 {
		return 0, fmt.Errorf("KVM's interface has version %d: %w", v, err)
	}
	machine, err := ioctl(kvm, kvmCreateVM, 0)
	if err != nil {
		return 0, fmt.Errorf("create a KVM machine: %w", err)
	}
	defer unix.Close(machine)
	const memorySize = 0x10000
	memory, err := unix.Mmap(-1, 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Munmap(memory) }()
	region := memoryRegion{size: memorySize, local: uint64(uintptr(unsafe.Pointer(&memory[0])))}
	if _, err := ioctl(machine, kvmSetUserMemoryRegion, uintptr(unsafe.Pointer(&region))); err != nil {
		return 0, fmt.Errorf("give a KVM machine memory: %w", err)
	}
	size, err := ioctl(kvm, kvmGetVCPUMmapSize, 0)
	if err != nil {
		return 0, err
	}
	cpu, err := ioctl(machine, kvmCreateVCPU, 0)
	if err != nil {
		return 0, fmt.Errorf("create a KVM processor: %w", err)
	}
	defer unix.Close(cpu)
	state, err := unix.Mmap(cpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Munmap(state) }()
	if err := enterLongMode(cpu, memory); err != nil {
		return 0, fmt.Errorf("set up a KVM processor: %w", err)
	}
	start := time.Now()
	for {
		_, err := ioctl(cpu, kvmRun, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("run a KVM processor: %w", err)
		}
		break
	}
	took := time.Since(start)
	// The exit's reason is the third 32-bit word of struct kvm_run.
	if reason := binary.LittleEndian.Uint32(state[8:]); reason != kvmExitIO {
		return 0, fmt.Errorf("the KVM guest ended for reason %d instead of its output", reason)
	}
	return took / loops, nil
}

func ioctl(fd int, request, arg uintptr) (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, arg)
	if errno != 0 {
		return 0, errno
	}
	return int(v), nil
}

// enterLongMode writes page tables and the program into memory and sets the
// processor's registers so that it starts in 64-bit mode.
func enterLongMode(cpu int, memory []byte) error {
	le := binary.LittleEndian
	const code, pml4, pdpt, pd = 0x1000, 0x2000, 0x3000, 0x4000
	le.PutUint64(memory[pml4:], pdpt|3)
	le.PutUint64(memory[pdpt:], pd|3)
	le.PutUint64(memory[pd:], 0x83) // one page of 2 MiB
	// mov ecx, loops; again: dec ecx; jnz again; out 0x10, al; hlt
	program := []byte{0xb9, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x10, 0xf4}
	le.PutUint32(program[1:], loops)
	copy(memory[code:], program)

	// struct kvm_sregs: eight segments of 24 bytes (cs ds es fs gs ss tr ldt), two
	// descriptor tables of 16, then cr0 cr2 cr3 cr4 cr8 efer apic_base.
	var sregs [312]byte
	if _, err := ioctl(cpu, kvmGetSRegs, uintptr(unsafe.Pointer(&sregs))); err != nil {
		return err
	}
	for i := range 6 {
		segment := sregs[i*24:]
		selector, kind, db, long := uint16(0x10), byte(3), byte(1), byte(0)
		if i == 0 {
			selector, kind, db, long = 8, 11, 0, 1
		}
		le.PutUint64(segment, 0)
		le.PutUint32(segment[8:], 0xffffffff)
		le.PutUint16(segment[12:], selector)
		copy(segment[14:], []byte{kind, 1, 0, db, 1, long, 1, 0, 0})
	}
	const control = 8*24 + 2*16
	le.PutUint64(sregs[control:], 0x80050033) // cr0: paging, protection
	le.PutUint64(sregs[control+16:], pml4)    // cr3
	le.PutUint64(sregs[control+24:], 0x20)    // cr4: PAE
	le.PutUint64(sregs[control+40:], 0x500)   // efer: long mode enabled and active
	if _, err := ioctl(cpu, kvmSetSRegs, uintptr(unsafe.Pointer(&sregs))); err != nil {
		return err
	}
	var regs [18]uint64 // struct kvm_regs; 16 is rip, 17 is rflags
	regs[16], regs[17] = code, 2
	_, err := ioctl(cpu, kvmSetRegs, uintptr(unsafe.Pointer(&regs)))
	return err
}
