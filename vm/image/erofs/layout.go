package erofs

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

const (
	blockSize   = 4096
	superOffset = 1024
	superSize   = 128
	slotSize    = 32 // an inode's number is its position in slots
	direntSize  = 12
	// maxTail is how much of a file's end may follow its inode. More would waste
	// the rest of many blocks, because inode and end must share one.
	maxTail = 2048
)

// layout is where everything in an image is.
type layout struct {
	nodes  []*node // by position of their inodes
	meta   int64   // end of the inodes, a multiple of blockSize
	blocks uint32  // of the whole image
}

// arrange gives every node its place: first all inodes, each with the end of its
// content, folder by folder, then whole blocks in the same order.
func arrange(top *node) (*layout, error) {
	l := &layout{}
	top.parent = top
	collect(top, &l.nodes)
	if len(l.nodes) > maxNodes {
		return nil, fmt.Errorf("erofs: more than %d files", maxNodes)
	}
	// The sizes of folders depend on names alone, so places can be given before
	// their content, which holds inode numbers, is known.
	for _, n := range l.nodes {
		if n.kind == kindDir {
			n.size = dirSize(n)
		}
		n.extended = n.size > math.MaxUint32 || n.links() > math.MaxUint16
	}
	pos := int64(superOffset + superSize)
	for _, n := range l.nodes {
		n.tail = int(n.size % blockSize)
		if n.tail > maxTail {
			n.tail = 0
		}
		need := n.inodeSize() + int64(n.tail)
		pos = roundUp(pos, slotSize)
		if pos/blockSize != (pos+need-1)/blockSize {
			pos = roundUp(pos, blockSize)
		}
		n.meta = pos
		pos += need
	}
	l.meta = roundUp(pos, blockSize)
	next := l.meta / blockSize
	for _, n := range l.nodes {
		n.block = uint32(next)
		next += n.fullBlocks()
		if next > math.MaxUint32-1 {
			return nil, fmt.Errorf("erofs: the image would be too large")
		}
	}
	l.blocks = uint32(next)
	for _, n := range l.nodes {
		if n.kind == kindDir {
			n.data = dirData(n)
		}
	}
	return l, nil
}

// collect appends n and all below it: a folder's entries stand together, as
// they are read together.
func collect(n *node, out *[]*node) {
	if n.parent == n {
		*out = append(*out, n)
	}
	*out = append(*out, n.children...)
	for _, c := range n.children {
		collect(c, out)
	}
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

func (n *node) number() uint64 { return uint64(n.meta / slotSize) }

func (n *node) inodeSize() int64 {
	if n.extended {
		return 64
	}
	return 32
}

// fullBlocks is how many data blocks hold what does not follow the inode.
func (n *node) fullBlocks() int64 { return roundUp(n.size-int64(n.tail), blockSize) / blockSize }

func (n *node) links() int {
	if n.kind != kindDir {
		return 1
	}
	links := 2
	for _, c := range n.children {
		if c.kind == kindDir {
			links++
		}
	}
	return links
}

// entries returns a folder's entries in the order of the format, with "." and
// ".." at their places among the names.
func (n *node) entries() []dirent {
	out := make([]dirent, 0, len(n.children)+2)
	out = append(out, dirent{".", n}, dirent{"..", n.parent})
	for _, c := range n.children {
		out = append(out, dirent{c.name, c})
	}
	slices.SortFunc(out, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
	return out
}

type dirent struct {
	name string
	node *node
}

// dirBlocks splits entries into those of each block: a block holds fixed-size
// records and, after them, the names.
func dirBlocks(entries []dirent) [][]dirent {
	var out [][]dirent
	start, used := 0, 0
	for i, e := range entries {
		need := direntSize + len(e.name)
		if used+need > blockSize {
			out = append(out, entries[start:i])
			start, used = i, 0
		}
		used += need
	}
	return append(out, entries[start:])
}

func dirSize(n *node) int64 {
	blocks := dirBlocks(n.entries())
	size := int64(len(blocks)-1) * blockSize
	for _, e := range blocks[len(blocks)-1] {
		size += direntSize + int64(len(e.name))
	}
	return size
}

func dirData(n *node) []byte {
	var out []byte
	for i, block := range dirBlocks(n.entries()) {
		out = append(out, make([]byte, i*blockSize-len(out))...) // fill the block before
		nameOffset := len(block) * direntSize
		for _, e := range block {
			out = binary.LittleEndian.AppendUint64(out, e.node.number())
			out = binary.LittleEndian.AppendUint16(out, uint16(nameOffset))
			out = append(out, byte(e.node.kind), 0)
			nameOffset += len(e.name)
		}
		for _, e := range block {
			out = append(out, e.name...)
		}
	}
	return out
}
