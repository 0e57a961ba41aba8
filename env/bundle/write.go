package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

// Export is what a file is to hold.
type Export struct {
	Project     string
	Source      string
	Environment string
	// Versions in the file: parents before children, the head last.
	Versions []*nixspace.Version
	// Workspace is the digest of the project's code, WorkspaceSize the bytes of its
	// uncompressed tar; empty to leave it out.
	Workspace     string
	WorkspaceSize int64
	Roots         []Root
	Paths         []nixspace.PathInfo // in any order
}

// Content writes what is not in an [Export] itself.
type Content interface {
	// WriteWorkspace writes the uncompressed tar of the project's code.
	WriteWorkspace(ctx context.Context, digest string, w io.Writer) error
	// WriteNAR writes a store path in Nix's archive format.
	WriteNAR(ctx context.Context, path string, w io.Writer) error
}

// Write writes a file to w, and returns its index. Equal exports give equal bytes.
// It fails when some content is not what its hash says; what was written until then
// is no valid file.
func Write(ctx context.Context, w io.Writer, e *Export, content Content) (*Index, error) {
	idx, records, err := e.index()
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(idx)
	if err != nil {
		return nil, fmt.Errorf("write the index: %w", err)
	}
	if len(head) > maxIndex {
		return nil, nixspace.Errorf(nixspace.KindLimit, "export_too_large", "the index of the export has %d bytes, of %d allowed", len(head), maxIndex)
	}
	// More workers would compress otherwise for each number of processors.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(window))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	t := tar.NewWriter(z)
	err = e.members(ctx, t, idx, head, records, content)
	if err == nil {
		err = t.Close()
	}
	if cerr := z.Close(); err == nil { // ends its workers, also after a failure
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return idx, nil
}

// window is how far back the compressor looks, and so how much memory a reader
// needs, in bytes.
const window = 8 << 20

func (e *Export) members(ctx context.Context, t *tar.Writer, idx *Index, head []byte, records [][]byte, content Content) error {
	if err := member(t, Member{Name: indexName, Size: int64(len(head))}, func(w io.Writer) error {
		_, err := w.Write(head)
		return err
	}); err != nil {
		return err
	}
	for i, m := range idx.Members {
		err := ctx.Err()
		if err != nil {
			return err
		}
		n := i - len(records)
		switch {
		case n < 0:
			err = member(t, m, func(w io.Writer) error { _, err := w.Write(records[i]); return err })
		case e.Workspace != "" && n == 0:
			err = member(t, m, func(w io.Writer) error { return content.WriteWorkspace(ctx, e.Workspace, w) })
		default:
			if e.Workspace != "" {
				n--
			}
			err = member(t, m, func(w io.Writer) error { return content.WriteNAR(ctx, idx.Paths[n].Path, w) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// member writes one member and compares it with its size and hash, if it has one.
func member(t *tar.Writer, m Member, write func(io.Writer) error) error {
	h := &tar.Header{Name: m.Name, Typeflag: tar.TypeReg, Mode: 0o644, Size: m.Size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", m.Name, err)
	}
	sum := sha256.New()
	if err := write(io.MultiWriter(t, sum)); err != nil {
		return fmt.Errorf("write %s: %w", m.Name, err)
	}
	if err := t.Flush(); err != nil { // fails where content is missing
		return fmt.Errorf("write %s: %w", m.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); m.SHA256 != "" && got != m.SHA256 {
		return nixspace.Errorf(nixspace.KindInternal, "export_hash", "%s has the hash %s, and not %s as it should: what is stored is damaged", m.Name, got, m.SHA256).
			WithHint("check the Nix store with: nix-store --verify --check-contents")
	}
	return nil
}

// index returns the index of an export, and its versions as they are written.
func (e *Export) index() (*Index, [][]byte, error) {
	idx := &Index{
		Format: Format, Version: Version, Project: e.Project, Source: e.Source, Environment: e.Environment, Workspace: e.Workspace,
		Versions: []string{}, Prerequisites: []string{}, Roots: e.Roots, Paths: []Path{},
	}
	if idx.Roots == nil {
		idx.Roots = []Root{}
	}
	here, needed := map[string]bool{}, map[string]bool{}
	var records [][]byte
	for _, v := range e.Versions {
		b, err := encodeVersion(v)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, b)
		idx.Versions = append(idx.Versions, v.VersionHash)
		idx.Head = v.VersionHash
		for _, p := range v.Parents {
			if !here[p] && !needed[p] {
				needed[p] = true
				idx.Prerequisites = append(idx.Prerequisites, p)
			}
		}
		here[v.VersionHash] = true
	}
	paths, err := referencesFirst(e.Paths)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range paths {
		idx.Paths = append(idx.Paths, PathOf(p))
	}
	for i, m := range idx.expected() {
		switch {
		case i < len(records):
			sum := sha256.Sum256(records[i])
			m.Size, m.SHA256 = int64(len(records[i])), hex.EncodeToString(sum[:])
		case strings.HasPrefix(m.Name, "workspace/"):
			m.Size = e.WorkspaceSize
		}
		idx.Members = append(idx.Members, m)
	}
	if err := idx.check(Limits{Unpacked: 1 << 62, Versions: 1 << 30, Paths: 1 << 30}); err != nil {
		return nil, nil, fmt.Errorf("make the index of an export: %w", hidden{err})
	}
	return idx, records, nil
}

// hidden is an error whose code is not for whoever asked: what is stored cannot be
// exported, which is no fault of theirs.
type hidden struct{ err error }

func (h hidden) Error() string { return h.err.Error() }

// referencesFirst orders paths so that each comes after all that it refers to, and
// equal sets have an equal order.
func referencesFirst(infos []nixspace.PathInfo) ([]nixspace.PathInfo, error) {
	byPath := make(map[string]nixspace.PathInfo, len(infos))
	var names []string
	for _, i := range infos {
		byPath[i.Path] = i
		names = append(names, i.Path)
	}
	slices.Sort(names)
	type frame struct {
		path string
		next int
	}
	const open, closed = 1, 2
	state := map[string]int{}
	var out []nixspace.PathInfo
	for _, name := range names {
		if state[name] != 0 {
			continue
		}
		state[name] = open
		for stack := []frame{{path: name}}; len(stack) > 0; {
			f := &stack[len(stack)-1]
			info := byPath[f.path]
			if f.next == len(info.References) {
				state[f.path] = closed
				out = append(out, info)
				stack = stack[:len(stack)-1]
				continue
			}
			ref := info.References[f.next]
			f.next++
			if ref == f.path {
				continue
			}
			if _, ok := byPath[ref]; !ok {
				return nil, fmt.Errorf("export: %s refers to %s, which is not in the closure", f.path, ref)
			}
			switch state[ref] {
			case 0:
				state[ref] = open
				stack = append(stack, frame{path: ref})
			case open:
				return nil, errors.New("export: references make a circle at " + ref)
			}
		}
	}
	return out, nil
}
