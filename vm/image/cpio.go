package image

import (
	"bytes"
	"fmt"
)

// cpioWriter writes a cpio archive in the "newc" format, which the kernel
// unpacks as the first root file system (Documentation/driver-api/early-userspace/
// buffer-format.rst in the kernel's source). Everything belongs to root and has
// time 0, so equal contents give equal bytes.
type cpioWriter struct {
	out   bytes.Buffer
	inode int
}

// File types in the mode of a cpio entry.
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioChar = 0o020000
)

func (w *cpioWriter) dir(name string, perm int) { w.entry(name, cpioDir|perm, 0, 0, nil) }

func (w *cpioWriter) file(name string, perm int, data []byte) {
	w.entry(name, cpioFile|perm, 0, 0, data)
}

func (w *cpioWriter) char(name string, perm, major, minor int) {
	w.entry(name, cpioChar|perm, major, minor, nil)
}

func (w *cpioWriter) entry(name string, mode, major, minor int, data []byte) {
	w.inode++
	links := 1
	if mode&cpioDir == cpioDir {
		links = 2
	}
	// magic, inode, mode, uid, gid, links, mtime, size, device (major, minor),
	// special device (major, minor), size of the name with its zero, checksum.
	fmt.Fprintf(&w.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		w.inode, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	w.out.WriteString(name)
	w.out.WriteByte(0)
	w.pad()
	w.out.Write(data)
	w.pad()
}

func (w *cpioWriter) pad() {
	for w.out.Len()%4 != 0 {
		w.out.WriteByte(0)
	}
}

// bytes ends the archive and returns it.
func (w *cpioWriter) bytes() []byte {
	w.inode = -1 // the trailer's inode is 0
	w.entry("TRAILER!!!", 0, 0, 0, nil)
	return w.out.Bytes()
}
