package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

//go:embed flake
var embedded embed.FS

// tree is the flake as it goes into the store: the embedded files with one lock.
type tree struct {
	lock    *Lock
	nar     []byte
	narHash string // SHA-256 of nar, lower-case hex
	path    string // store path
}

// pinned returns the lock that is embedded in the program.
func pinned() (*Lock, error) {
	b, err := embedded.ReadFile("flake/catalog.lock.json")
	if err != nil {
		return nil, err
	}
	return ParseLock(b)
}

// newTree packs the flake with a lock. It is the same bytes on every machine.
func newTree(lock *Lock) (*tree, error) {
	var n narWriter
	n.strings("nix-archive-1")
	if err := n.embedDir("flake", map[string][]byte{"flake/catalog.lock.json": lock.Encode()}); err != nil {
		return nil, fmt.Errorf("pack the catalog: %w", err)
	}
	sum := sha256.Sum256(n.Bytes())
	t := &tree{lock: lock, nar: n.Bytes(), narHash: hex.EncodeToString(sum[:])}
	t.path = treePath(t.narHash)
	return t, nil
}

func (n *narWriter) embedDir(dir string, replace map[string][]byte) error {
	entries, err := fs.ReadDir(embedded, dir)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	n.dir(func() {
		for _, e := range entries {
			name := dir + "/" + e.Name()
			n.entry(e.Name(), func() {
				if e.IsDir() {
					err = n.embedDir(name, replace)
					return
				}
				content, ok := replace[name]
				if !ok {
					content, err = embedded.ReadFile(name)
				}
				n.file(content, false)
			})
			if err != nil {
				return
			}
		}
	})
	return err
}

// add puts the tree into the store.
func (t *tree) add(ctx context.Context, store *daemon.Client) error {
	info, err := store.AddFixed(ctx, "source", daemon.Recursive, "sha256", bytes.NewReader(t.nar))
	if err != nil {
		return fmt.Errorf("add the catalog to the store: %w", err)
	}
	if info.Path != t.path {
		return fmt.Errorf("add the catalog to the store: it became %s, not %s", info.Path, t.path)
	}
	return nil
}

// flakeSource says how a flake names the tree as its input. The address is the
// same on every machine with the same catalog.
func (t *tree) flakeSource() (nixspace.FlakeSource, error) {
	raw, err := hex.DecodeString(t.narHash)
	if err != nil {
		return nixspace.FlakeSource{}, err
	}
	return nixspace.FlakeSource{
		URL: "path:" + t.path,
		Locked: map[string]any{
			"type": "path", "path": t.path, "lastModified": 1,
			"narHash": "sha256-" + base64.StdEncoding.EncodeToString(raw),
		},
		Original: map[string]any{"type": "path", "path": t.path},
		Digest:   t.lock.Digest(),
	}, nil
}
