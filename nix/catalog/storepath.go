package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/nixspace/nixspace/nix/catalog/debian"
	"github.com/nixspace/nixspace/nix/daemon"
)

// seedName is the store path name of the seed.
const seedName = "busybox-seed"

// maxSeed bounds the busybox program, in bytes.
const maxSeed = 32 << 20

// StorePath is the store path that the file becomes (Nix manual, "Store path
// specification": a fixed output, hashed flat).
func (s Source) StorePath() string {
	return daemon.FixedPath("output:out", s.Name, sha256Hex("fixed:out:"+s.Algo+":"+s.Hash+":"))
}

// StorePath is the store path of the seed (a fixed output, hashed as a NAR).
func (s Seed) StorePath() string { return daemon.FixedPath("source", seedName, s.Hash) }

// treePath is the store path of a file tree with this NAR hash, as Nix gives it
// to the source of a flake.
func treePath(narSHA256 string) string { return daemon.SourcePath(narSHA256) }

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// seedNar returns the NAR of a directory whose only file is bin/busybox from
// the deb.
func seedNar(deb string) ([]byte, error) {
	f, err := os.Open(deb)
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	defer f.Close()
	program, err := debian.ExtractFile(f, "usr/bin/busybox", maxSeed)
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	n := narWriter{}
	n.strings("nix-archive-1")
	n.dir(func() {
		n.entry("bin", func() {
			n.dir(func() {
				n.entry("busybox", func() { n.file(program, true) })
			})
		})
	})
	return n.Bytes(), nil
}

// narWriter writes the Nix archive format: strings with a 64-bit little-endian
// length, padded to 8 bytes.
type narWriter struct{ bytes.Buffer }

func (n *narWriter) bytes(b []byte) {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(b)))
	n.Write(size[:])
	n.Write(b)
	n.Write(make([]byte, (8-len(b)%8)%8))
}

func (n *narWriter) strings(ss ...string) {
	for _, s := range ss {
		n.bytes([]byte(s))
	}
}

func (n *narWriter) file(content []byte, executable bool) {
	n.strings("(", "type", "regular")
	if executable {
		n.strings("executable", "")
	}
	n.strings("contents")
	n.bytes(content)
	n.strings(")")
}

// dir writes a directory; entries must be written in byte order of their names.
func (n *narWriter) dir(entries func()) {
	n.strings("(", "type", "directory")
	entries()
	n.strings(")")
}

func (n *narWriter) entry(name string, node func()) {
	n.strings("entry", "(", "name", name, "node")
	node()
	n.strings(")")
}
