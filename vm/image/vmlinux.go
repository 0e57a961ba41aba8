package image

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/klauspost/compress/zstd"
)

const (
	maxVmlinuz = 128 << 20
	maxVmlinux = 512 << 20
)

// extractVmlinux returns the ELF kernel inside vmlinuz, an x86 boot image (see
// Documentation/arch/x86/boot.rst and scripts/extract-vmlinux in the kernel's
// source). An image that is an ELF file already is returned as it is.
//
// A machine that is given the ELF file enters the kernel by its PVH entry
// point, which saves the firmware and the kernel's own decompression: a second
// of a guest's start in software emulation.
func extractVmlinux(image []byte) ([]byte, error) {
	if bytes.HasPrefix(image, []byte(elf.ELFMAG)) {
		return image, checkVmlinux(image)
	}
	payload, err := bootPayload(image)
	if err != nil {
		return nil, err
	}
	out, err := decompress(payload)
	if err != nil {
		return nil, err
	}
	return out, checkVmlinux(out)
}

// bootPayload returns the compressed kernel of a boot image by its setup
// header, or what follows the first compression magic in images too old to
// have one.
func bootPayload(image []byte) ([]byte, error) {
	// Offsets in the setup header: setup_sects 0x1f1, "HdrS" 0x202, version
	// 0x206, payload_offset 0x248, payload_length 0x24c (since version 2.08).
	if len(image) < 0x250 || string(image[0x202:0x206]) != "HdrS" {
		return nil, errors.New("it is no x86 boot image")
	}
	if v := binary.LittleEndian.Uint16(image[0x206:]); v < 0x208 {
		return nil, fmt.Errorf("its boot protocol %d.%02d is too old", v>>8, v&0xff)
	}
	sectors := uint64(image[0x1f1])
	if sectors == 0 {
		sectors = 4
	}
	start := (sectors+1)*512 + uint64(binary.LittleEndian.Uint32(image[0x248:]))
	length := uint64(binary.LittleEndian.Uint32(image[0x24c:]))
	if length < 8 || start > uint64(len(image)) || length > uint64(len(image))-start {
		return nil, errNoPayload
	}
	return image[start : start+length], nil
}

// decompress unpacks a kernel payload. For every format but gzip the kernel's
// build appends the unpacked size, four bytes, little endian; readers here
// ignore what follows a complete stream.
func decompress(payload []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(payload, []byte{0x02, 0x21, 0x4c, 0x18}):
		return decompressLZ4(payload)
	case bytes.HasPrefix(payload, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return decompressXZ(payload)
	case bytes.HasPrefix(payload, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(payload))
		if err == nil {
			r.Multistream(false)
		}
		return readPayload(r, err)
	case bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// A zstd reader goes on to the next frame, so the size is cut off.
		r, err := zstd.NewReader(bytes.NewReader(payload[:len(payload)-4]),
			zstd.WithDecoderMaxWindow(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return readPayload(r, nil)
	}
	return nil, fmt.Errorf("its compression is not known (it starts with %x)", payload[:4])
}

// decompressXZ runs the xz program: kernels use its x86 filter, which no library
// in Go knows.
func decompressXZ(payload []byte) ([]byte, error) {
	path, err := exec.LookPath("xz")
	if err != nil {
		return nil, fmt.Errorf("the kernel is compressed with xz, and the program xz is missing: %w", err)
	}
	cmd := exec.Command(path, "--decompress", "--stdout", "--single-stream")
	cmd.Stdin = bytes.NewReader(payload)
	var out bytes.Buffer
	cmd.Stdout = &limitedWriter{w: &out, left: maxVmlinux}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("unpack with xz: %w", err)
	}
	return out.Bytes(), nil
}

// limitedWriter fails once more than left bytes were written.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errors.New("more data than allowed")
	}
	w.left -= len(p)
	return w.w.Write(p)
}

func readPayload(r io.Reader, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxVmlinux+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxVmlinux {
		return nil, fmt.Errorf("the kernel is larger than %d bytes unpacked", maxVmlinux)
	}
	return out, nil
}

// checkVmlinux reports why b cannot be started as a guest kernel.
func checkVmlinux(b []byte) error {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("what it holds is no ELF kernel: %w", err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("the kernel is built for %v", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE && hasPVHNote(p) {
			return nil
		}
	}
	return errors.New("the kernel has no PVH entry point (CONFIG_PVH)")
}

// hasPVHNote looks for the note of owner "Xen" and type XEN_ELFNOTE_PHYS32_ENTRY
// (18), which holds the address of the PVH entry point.
func hasPVHNote(p *elf.Prog) bool {
	if p.Filesz > 1<<20 {
		return false
	}
	b := make([]byte, p.Filesz)
	if _, err := p.ReadAt(b, 0); err != nil {
		return false
	}
	for len(b) >= 12 {
		nameSize := uint64(binary.LittleEndian.Uint32(b))
		descSize := uint64(binary.LittleEndian.Uint32(b[4:]))
		kind := binary.LittleEndian.Uint32(b[8:])
		b = b[12:]
		nameEnd, descEnd := (nameSize+3)&^3, (nameSize+3)&^3+(descSize+3)&^3
		if descEnd > uint64(len(b)) {
			return false
		}
		if kind == 18 && string(b[:nameSize]) == "Xen\x00" && descSize >= 4 {
			return true
		}
		b = b[max(nameEnd, descEnd):]
	}
	return false
}

// readBounded reads a whole file that must not be larger than limit.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}
