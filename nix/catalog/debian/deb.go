package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// ErrNoFile is returned by [ExtractFile] where the package lacks the file.
var ErrNoFile = errors.New("no such file in the package")

// ExtractFile returns the content of one regular file of a .deb (deb(5)), of
// at most limit bytes. The name is relative, as in "usr/bin/busybox".
func ExtractFile(deb io.Reader, name string, limit int64) ([]byte, error) {
	data, err := dataMember(deb)
	if err != nil {
		return nil, err
	}
	tr := tar.NewReader(data)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("%s: %w", name, ErrNoFile)
		}
		if err != nil {
			return nil, fmt.Errorf("read package data: %w", err)
		}
		if h.Typeflag != tar.TypeReg || path.Clean(strings.TrimPrefix(h.Name, "./")) != name {
			continue
		}
		if h.Size > limit {
			return nil, fmt.Errorf("%s has %d bytes, more than %d", name, h.Size, limit)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, io.LimitReader(tr, limit)); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return b.Bytes(), nil
	}
}

// dataMember returns the decompressed data.tar of a .deb.
func dataMember(deb io.Reader) (io.Reader, error) {
	var magic [8]byte
	if _, err := io.ReadFull(deb, magic[:]); err != nil || string(magic[:]) != "!<arch>\n" {
		return nil, errors.New("not a Debian package: no ar archive")
	}
	for {
		var h [60]byte
		if _, err := io.ReadFull(deb, h[:]); err != nil {
			return nil, fmt.Errorf("not a Debian package: no data member: %w", err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 || string(h[58:]) != "`\n" {
			return nil, errors.New("not a Debian package: bad ar header")
		}
		member := io.LimitReader(deb, size)
		switch strings.TrimRight(string(h[:16]), "/ ") {
		case "data.tar":
			return member, nil
		case "data.tar.gz":
			return gzip.NewReader(member)
		case "data.tar.xz":
			return xz.NewReader(member)
		case "data.tar.zst":
			d, err := zstd.NewReader(member, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
			if err != nil {
				return nil, err
			}
			return d, nil
		}
		if _, err := io.CopyN(io.Discard, deb, size+size%2); err != nil {
			return nil, fmt.Errorf("read Debian package: %w", err)
		}
	}
}
