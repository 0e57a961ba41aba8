package volume

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Usage is how much space a file takes.
type Usage struct {
	Size   int64 // bytes that hold data
	Shared int64 // of these, bytes in blocks that other files have too
}

// The kernel's struct fiemap and struct fiemap_extent, see
// Documentation/filesystems/fiemap.rst.
type (
	fiemapExtent struct {
		logical, physical, length uint64
		_                         [2]uint64
		flags                     uint32
		_                         [3]uint32
	}
	fiemap struct {
		start, length           uint64
		flags, mapped, count, _ uint32
		extents                 [128]fiemapExtent
	}
)

const (
	fsIocFiemap        = 0xc020660b
	fiemapExtentLast   = 0x1
	fiemapExtentShared = 0x2000
)

// FileUsage returns how much space a file takes. Where the file system does not
// say what is shared, nothing is.
func FileUsage(path string) (Usage, error) {
	f, err := os.Open(path)
	if err != nil {
		return Usage{}, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Usage{}, fmt.Errorf("stat %s: %w", path, err)
	}
	u := Usage{Size: st.Blocks * 512}
	m := &fiemap{}
	for next := uint64(0); ; {
		m.start, m.length, m.flags, m.mapped, m.count = next, ^uint64(0)-next, 0, 0, uint32(len(m.extents))
		_, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFiemap, uintptr(unsafe.Pointer(m)))
		if errors.Is(e, unix.EOPNOTSUPP) || errors.Is(e, unix.ENOTTY) {
			return u, nil
		}
		if e != 0 {
			return Usage{}, fmt.Errorf("map %s: %w", path, e)
		}
		for _, x := range m.extents[:min(int(m.mapped), len(m.extents))] {
			if x.flags&fiemapExtentShared != 0 {
				u.Shared += int64(x.length)
			}
			next = x.logical + x.length
			if x.flags&fiemapExtentLast != 0 {
				u.Shared = min(u.Shared, u.Size)
				return u, nil
			}
		}
		if m.mapped == 0 {
			u.Shared = min(u.Shared, u.Size)
			return u, nil
		}
	}
}
