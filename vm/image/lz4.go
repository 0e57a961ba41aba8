package image

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errLZ4 = errors.New("corrupt lz4 data")

// decompressLZ4 unpacks LZ4's legacy frame, which kernels use: the magic number
// 0x184C2102, then blocks of a four-byte size and data that unpacks to 8 MiB
// each, the last one to less. Format: "Legacy frame" in lz4_Frame_format.md and
// lz4_Block_format.md of the LZ4 project.
func decompressLZ4(in []byte) ([]byte, error) {
	const blockSize = 8 << 20
	in = in[4:]
	var out []byte
	for len(in) > 4 { // what remains at the end is the unpacked size
		n := uint64(binary.LittleEndian.Uint32(in))
		in = in[4:]
		if n == 0x184C2102 {
			continue
		}
		if n == 0 || n > uint64(len(in)) {
			return nil, errLZ4
		}
		before := len(out)
		var err error
		if out, err = appendLZ4Block(out, in[:n], before+blockSize); err != nil {
			return nil, err
		}
		if len(out) > maxVmlinux {
			return nil, fmt.Errorf("the kernel is larger than %d bytes unpacked", maxVmlinux)
		}
		in = in[n:]
	}
	return out, nil
}

// appendLZ4Block appends an unpacked block to dst, which must not grow beyond
// limit. References reach back into this block only.
func appendLZ4Block(dst, src []byte, limit int) ([]byte, error) {
	base := len(dst)
	for {
		if len(src) == 0 {
			return nil, errLZ4
		}
		token := src[0]
		src = src[1:]
		literals, rest, err := lz4Length(int(token>>4), src)
		if err != nil || literals > len(rest) || len(dst)+literals > limit {
			return nil, errLZ4
		}
		dst = append(dst, rest[:literals]...)
		src = rest[literals:]
		if len(src) == 0 {
			return dst, nil // the last sequence has literals only
		}
		if len(src) < 2 {
			return nil, errLZ4
		}
		offset := int(binary.LittleEndian.Uint16(src))
		match, rest, err := lz4Length(int(token&15), src[2:])
		match += 4
		if err != nil || offset == 0 || offset > len(dst)-base || len(dst)+match > limit {
			return nil, errLZ4
		}
		src = rest
		for match > 0 { // source and destination may overlap: copy what is there
			n := min(match, offset)
			dst = append(dst, dst[len(dst)-offset:len(dst)-offset+n]...)
			match -= n
		}
	}
}

// lz4Length reads the further bytes of a length whose first four bits are n.
func lz4Length(n int, src []byte) (int, []byte, error) {
	if n < 15 {
		return n, src, nil
	}
	for i, b := range src {
		n += int(b)
		if n > maxVmlinux {
			return 0, nil, errLZ4
		}
		if b != 255 {
			return n, src[i+1:], nil
		}
	}
	return 0, nil, errLZ4
}
