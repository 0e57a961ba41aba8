package erofs

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	magic = 0xE0F5E1E2

	featureChecksum = 1 // compatible feature: the superblock has a checksum

	layoutPlain  = 0 // content in whole blocks
	layoutInline = 2 // the end of the content follows the inode

	modeFile    = 0o100000
	modeDir     = 0o040000
	modeSymlink = 0o120000
)

// output counts what was written and looks at its context once in a while.
type output struct {
	*bufio.Writer
	ctx      context.Context
	pos      int64
	total    int64
	progress func(done, total int64)
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := o.Writer.Write(p)
	o.pos += int64(n)
	if o.progress != nil {
		o.progress(o.pos, o.total)
	}
	return n, err
}

var zeros [blockSize]byte

// padTo writes zeros up to a position.
func (o *output) padTo(pos int64) error {
	for o.pos < pos {
		if _, err := o.Write(zeros[:min(pos-o.pos, blockSize)]); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) write(ctx context.Context, w io.Writer, opts Options) error {
	o := &output{
		Writer: bufio.NewWriterSize(w, 1<<20), ctx: ctx,
		total: int64(l.blocks) * blockSize, progress: opts.Progress,
	}
	if err := o.padTo(superOffset); err != nil {
		return err
	}
	head, err := l.firstBlock(opts)
	if err != nil {
		return err
	}
	if _, err := o.Write(head); err != nil {
		return err
	}
	for _, n := range l.nodes {
		if n.meta < blockSize {
			continue // part of the first block
		}
		if err := o.padTo(n.meta); err != nil {
			return err
		}
		if err := n.writeInode(o); err != nil {
			return err
		}
	}
	if err := o.padTo(l.meta); err != nil {
		return err
	}
	for _, n := range l.nodes {
		if err := n.writeBlocks(o); err != nil {
			return err
		}
	}
	if o.pos != o.total {
		return fmt.Errorf("erofs: wrote %d bytes of %d", o.pos, o.total)
	}
	return o.Flush()
}

// firstBlock returns the rest of the first block, from the superblock on, whose
// checksum covers all of it.
func (l *layout) firstBlock(opts Options) ([]byte, error) {
	b := make([]byte, 0, blockSize-superOffset)
	le := binary.LittleEndian
	b = le.AppendUint32(b, magic)
	b = le.AppendUint32(b, 0) // checksum, below
	b = le.AppendUint32(b, featureChecksum)
	b = append(b, 12, 0) // log2(blockSize), no extension slots
	b = le.AppendUint16(b, uint16(l.nodes[0].number()))
	b = le.AppendUint64(b, uint64(len(l.nodes)))
	b = le.AppendUint64(b, 1) // time of all files
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, l.blocks)
	b = le.AppendUint32(b, 0) // inode numbers count from block 0
	b = le.AppendUint32(b, 0) // no shared attributes
	b = append(b, opts.UUID[:]...)
	b = append(b, zeros[:superSize-len(b)]...) // no name, no incompatible features

	rest := &sliceWriter{b: b}
	for _, n := range l.nodes {
		if n.meta >= blockSize {
			break
		}
		rest.padTo(int(n.meta) - superOffset)
		if err := n.writeInode(rest); err != nil {
			return nil, err
		}
	}
	rest.padTo(blockSize - superOffset)
	// The kernel's crc32c starts from all ones and does not invert its result.
	le.PutUint32(rest.b[4:], ^crc32.Checksum(rest.b, crc32.MakeTable(crc32.Castagnoli)))
	return rest.b, nil
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *sliceWriter) padTo(n int) { w.b = append(w.b, make([]byte, n-len(w.b))...) }

// inode returns the node's inode, in the short form where it fits.
func (n *node) inode() []byte {
	le := binary.LittleEndian
	format := uint16(layoutPlain)
	if n.tail > 0 {
		format = layoutInline << 1
	}
	mode := n.perm
	switch n.kind {
	case kindFile:
		mode |= modeFile
	case kindDir:
		mode |= modeDir
	case kindSymlink:
		mode |= modeSymlink
	}
	number := uint32(n.number())
	b := make([]byte, 0, 64)
	if !n.extended {
		b = le.AppendUint16(b, format)
		b = le.AppendUint16(b, 0) // no attributes
		b = le.AppendUint16(b, mode)
		b = le.AppendUint16(b, uint16(n.links()))
		b = le.AppendUint32(b, uint32(n.size))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, n.block)
		b = le.AppendUint32(b, number)
		return append(b, zeros[:8]...) // user and group 0
	}
	b = le.AppendUint16(b, format|1)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, mode)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, uint64(n.size))
	b = le.AppendUint32(b, n.block)
	b = le.AppendUint32(b, number)
	b = append(b, zeros[:8]...) // user and group 0
	b = le.AppendUint64(b, 1)   // time
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, uint32(n.links()))
	return append(b, zeros[:16]...)
}

// writeInode writes the inode and the end of the content that follows it.
func (n *node) writeInode(w io.Writer) error {
	if _, err := w.Write(n.inode()); err != nil || n.tail == 0 {
		return err
	}
	start := n.size - int64(n.tail)
	if n.kind != kindFile {
		_, err := w.Write(n.data[start:])
		return err
	}
	f, err := n.open()
	if err != nil {
		return err
	}
	defer f.Close()
	return copyExactly(w, io.NewSectionReader(f, start, int64(n.tail)), int64(n.tail), n.path)
}

// writeBlocks writes the content that does not follow the inode, in whole blocks.
func (n *node) writeBlocks(o *output) error {
	size := n.size - int64(n.tail)
	if size == 0 {
		return nil
	}
	if want := int64(n.block) * blockSize; o.pos != want {
		return fmt.Errorf("erofs: %s would start at %d instead of %d", n.path, o.pos, want)
	}
	if n.kind != kindFile {
		if _, err := o.Write(n.data[:size]); err != nil {
			return err
		}
		return o.padTo(roundUp(o.pos, blockSize))
	}
	f, err := n.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := copyExactly(o, f, size, n.path); err != nil {
		return err
	}
	return o.padTo(roundUp(o.pos, blockSize))
}

func copyExactly(w io.Writer, r io.Reader, size int64, path string) error {
	// Hide that w may be an io.ReaderFrom: every write must be counted.
	n, err := io.Copy(struct{ io.Writer }{w}, io.LimitReader(r, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s changed while its image was made", path)
	}
	return err
}
