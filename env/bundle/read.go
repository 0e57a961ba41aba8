package bundle

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

// Visitor receives what a file holds, in its order; nil functions skip a part, which
// is verified all the same. Readers must not be used after the call. They fail,
// instead of ending, where the content is not what its hash says: whoever copies from
// one to its end has the right bytes.
type Visitor struct {
	Index     func(*Index) error
	Version   func(*nixspace.Version) error
	Workspace func(digest string, tar io.Reader) error
	Path      func(p Path, nar io.Reader) error
}

// Read reads and verifies a whole file. It fails with one of the codes above, or as
// the visitor does. When it returns no error, everything in the file was exactly
// what its index says, and the index what the format says.
func Read(r io.Reader, lim Limits, visit Visitor) (*Index, error) {
	lim = lim.orDefault()
	src := &source{r: r}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(2*window))
	if err != nil {
		return nil, src.explain(err)
	}
	defer z.Close()
	// An export that is all headers would have no end.
	plain := io.LimitReader(z, lim.Unpacked+maxIndex+int64(lim.Versions+lim.Paths+2)*2048)
	f := &file{src: src, t: tar.NewReader(plain)}
	idx, err := f.index(lim)
	if err != nil {
		return nil, err
	}
	if visit.Index != nil {
		if err := visit.Index(idx); err != nil {
			return nil, err
		}
	}
	if err := f.members(idx, visit); err != nil {
		return nil, err
	}
	return idx, f.end(plain)
}

// source remembers why reading the file itself failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // an end that somebody wrapped is a failure
		s.err = err
	}
	return n, err
}

// explain words a failure of the decompressor or of the archive's reader.
func (s *source) explain(err error) error {
	var known *nixspace.Error
	switch {
	case s.err != nil:
		return s.err
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nixspace.Errorf(nixspace.KindInvalid, CodeTruncated, "the file ends too early: a part of it is missing").
			WithHint("copy it again")
	case errors.Is(err, zstd.ErrMagicMismatch):
		return notAnExport()
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return tooLarge("unpacking it takes too much memory")
	}
	return invalid("it cannot be unpacked: %v", err)
}

type file struct {
	src *source
	t   *tar.Reader
}

// next goes to a member, which must have the name and, unless it is negative, the
// size.
func (f *file) next(name string, size int64) (int64, error) {
	h, err := f.t.Next()
	if err != nil {
		return 0, f.src.explain(err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return 0, invalid("it has %.100q where %q belongs", h.Name, name)
	}
	if size >= 0 && h.Size != size {
		return 0, invalid("%s has %d bytes, not %d", name, h.Size, size)
	}
	return h.Size, nil
}

func (f *file) index(lim Limits) (*Index, error) {
	size, err := f.next(indexName, -1)
	if err != nil {
		if nixspace.ErrorCode(err) == CodeInvalid {
			return nil, notAnExport()
		}
		return nil, err
	}
	if size > maxIndex {
		return nil, tooLarge("its index has %d bytes, of %d allowed", size, maxIndex)
	}
	data, err := io.ReadAll(f.t)
	if err != nil {
		return nil, f.src.explain(err)
	}
	return readIndex(data, lim)
}

func (f *file) members(idx *Index, visit Visitor) error {
	here := make(map[string]bool, len(idx.Versions)+len(idx.Prerequisites))
	made := map[string]*nixspace.Version{}
	unused := map[string]bool{}
	for _, h := range idx.Prerequisites {
		here[h], unused[h] = true, true
	}
	for i, m := range idx.Members {
		if _, err := f.next(m.Name, m.Size); err != nil {
			return err
		}
		body := &verified{file: f, member: m, hash: sha256.New()}
		var err error
		switch n := i - len(idx.Versions); {
		case n < 0:
			var v *nixspace.Version
			if v, err = body.version(idx.Versions[i]); err != nil {
				return err
			}
			if err = follows(v, here, made, unused); err == nil && visit.Version != nil {
				err = visit.Version(v)
			}
			here[v.VersionHash], unused[v.VersionHash] = true, i+1 < len(idx.Versions)
			made[v.VersionHash] = &nixspace.Version{CreatedAt: v.CreatedAt}
			if i+1 == len(idx.Versions) {
				for h, un := range unused {
					if un {
						return invalid("nothing follows version %s", h)
					}
				}
			}
		case idx.Workspace != "" && n == 0:
			if visit.Workspace != nil {
				err = visit.Workspace(idx.Workspace, body)
			}
		default:
			if idx.Workspace != "" {
				n--
			}
			if visit.Path != nil {
				err = visit.Path(idx.Paths[n], body)
			}
		}
		if body.err != nil { // what the visitor made of it says less
			return body.err
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
	}
	return nil
}

// follows checks that a version comes after its parents, in the file and in time.
func follows(v *nixspace.Version, here map[string]bool, made map[string]*nixspace.Version, unused map[string]bool) error {
	for _, p := range v.Parents {
		if !here[p] {
			return invalid("version %s follows %s, which does not come before it", v.VersionHash, p)
		}
		unused[p] = false
		if parent := made[p]; parent != nil && !v.CreatedAt.After(parent.CreatedAt) {
			return invalid("version %s is older than the one that it follows", v.VersionHash)
		}
	}
	return nil
}

// end checks that nothing follows the last member.
func (f *file) end(plain io.Reader) error {
	h, err := f.t.Next()
	if err == nil {
		return invalid("it has %.100q, which its index does not list", h.Name)
	}
	if err != io.EOF { //nolint:errorlint // an end that somebody wrapped is a failure
		return f.src.explain(err)
	}
	rest, err := io.ReadAll(io.LimitReader(plain, 64<<10))
	if err != nil {
		return f.src.explain(err)
	}
	for _, b := range rest {
		if b != 0 {
			return invalid("something follows its end")
		}
	}
	if len(rest) == 64<<10 {
		return invalid("something follows its end")
	}
	return nil
}

// verified reads one member, and ends with an error unless it has the right hash.
type verified struct {
	file   *file
	member Member
	hash   hash.Hash
	err    error // what went wrong with the file
	done   bool
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.done {
		return 0, io.EOF
	}
	n, err := v.file.t.Read(p)
	v.hash.Write(p[:n]) //nolint:errcheck // a hash never fails
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF: //nolint:errorlint // an end that somebody wrapped is a failure
		v.err = v.file.src.explain(err)
	case hex.EncodeToString(v.hash.Sum(nil)) != v.member.SHA256:
		v.err = mismatch(v.member.Name)
	default:
		v.done = true
		return n, io.EOF
	}
	return n, v.err
}

func (v *verified) version(hash string) (*nixspace.Version, error) {
	data, err := io.ReadAll(v)
	if err != nil {
		return nil, err
	}
	return decodeVersion(data, hash)
}
