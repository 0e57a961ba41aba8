package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/image/erofs"
)

// Layers keeps the images of store layers in a folder. It is safe for concurrent
// use, by several processes too.
//
// An image is named by its key, the SHA-256 over the store paths in it, which
// determine its content. Beside <key>.erofs stands <key>.json, which is written
// last and records the image's size and digest.
type Layers struct {
	dir   string
	store string
}

// NewLayers returns the layers of a folder, which need not exist, of paths of the
// store that lies at store on this host; in /nix/store when that is empty.
func NewLayers(dir, store string) *Layers {
	if store == "" {
		store = nixspace.StoreDir
	}
	return &Layers{dir: dir, store: store}
}

// record is the content of <key>.json.
type record struct {
	Format int      `json:"format"`
	Paths  []string `json:"paths"`
	Size   int64    `json:"size"`
	Digest string   `json:"digest"` // SHA-256 of the image, lower-case hex
}

// format counts incompatible changes of how images are made.
const format = 1

// key returns what names the image of paths.
func key(paths []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "nixspace store layer %d\n", format)
	for _, p := range paths {
		fmt.Fprintln(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sortedPaths returns paths as an image has them.
func sortedPaths(paths []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(paths)))
}

// Ensure returns the image of a layer and makes it where it is missing or
// damaged. Two callers that want the same image at the same time get the one
// that the first makes. It fails with code "disk_full" where there is no room,
// "layer_invalid" where the layer names what is no store path, and
// "store_path_missing" where the store does not have one.
func (l *Layers) Ensure(ctx context.Context, layer nixspace.StoreLayer, progress nixspace.ProgressFunc) (nixspace.LayerImage, error) {
	paths := sortedPaths(layer.Paths)
	if len(paths) == 0 {
		return nixspace.LayerImage{}, nixspace.Errorf(nixspace.KindInvalid, "layer_invalid", "the store layer %q is empty", layer.Name)
	}
	for _, p := range paths {
		if !isStorePath(p) {
			return nixspace.LayerImage{}, nixspace.Errorf(nixspace.KindInvalid, "layer_invalid", "%q in the store layer %q is no store path", p, layer.Name)
		}
	}
	k := key(paths)
	if img, ok := l.lookup(k, layer.Name, paths); ok {
		return img, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(l.dir, k+".lock"))
	if err != nil {
		return nixspace.LayerImage{}, fmt.Errorf("wait for the image of layer %s: %w", layer.Name, err)
	}
	defer unlock()
	if img, ok := l.lookup(k, layer.Name, paths); ok {
		return img, nil
	}
	img, err := l.build(ctx, k, layer.Name, paths, progress)
	if err != nil {
		return nixspace.LayerImage{}, fmt.Errorf("make the image of layer %s: %w", layer.Name, err)
	}
	return img, nil
}

// lookup returns a complete image. It compares sizes and not digests: the
// digest was checked when the image was made, and reading hundreds of megabytes
// at each start would cost more than starting.
func (l *Layers) lookup(k, name string, paths []string) (nixspace.LayerImage, bool) {
	b, err := readBounded(l.path(k, ".json"), 16<<20)
	if err != nil {
		return nixspace.LayerImage{}, false
	}
	var r record
	if json.Unmarshal(b, &r) != nil || r.Format != format || !slices.Equal(r.Paths, paths) || len(r.Digest) != 64 {
		return nixspace.LayerImage{}, false
	}
	info, err := os.Stat(l.path(k, ".erofs"))
	if err != nil || info.Size() != r.Size {
		return nixspace.LayerImage{}, false
	}
	// That it is used must be on record before it is: see [Layers.Collect].
	now := time.Now()
	if err := os.Chtimes(l.path(k, ".json"), now, now); err != nil {
		return nixspace.LayerImage{}, false
	}
	return nixspace.LayerImage{Name: name, Digest: r.Digest, Size: r.Size, Path: l.path(k, ".erofs")}, true
}

func (l *Layers) path(k, suffix string) string { return filepath.Join(l.dir, k+suffix) }

func (l *Layers) build(ctx context.Context, k, name string, paths []string, progress nixspace.ProgressFunc) (nixspace.LayerImage, error) {
	// A record must never outlive its image.
	if err := os.Remove(l.path(k, ".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nixspace.LayerImage{}, err
	}
	sweep(l.dir, k+".erofs")
	sweep(l.dir, k+".json")
	var roots []erofs.Root
	for _, p := range paths {
		name := strings.TrimPrefix(p, nixspace.StoreDir+"/")
		roots = append(roots, erofs.Root{Name: name, Path: filepath.Join(l.store, name)})
	}
	opts := erofs.Options{Progress: throttle(name, progress)}
	uuid, _ := hex.DecodeString(k[:32])
	copy(opts.UUID[:], uuid)
	opts.UUID[6] = opts.UUID[6]&0x0f | 0x80 // version 8: made from a digest
	opts.UUID[8] = opts.UUID[8]&0x3f | 0x80
	digest, size, err := publish(l.path(k, ".erofs"), func(w io.Writer) error {
		return erofs.Write(ctx, w, roots, opts)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nixspace.LayerImage{}, nixspace.Errorf(nixspace.KindUnavailable, "store_path_missing", "the Nix store does not have all paths of the layer %s: %w", name, err).
			WithHint("build the environment again")
	}
	if err != nil {
		return nixspace.LayerImage{}, err
	}
	rec, err := json.Marshal(record{Format: format, Paths: paths, Size: size, Digest: digest})
	if err != nil {
		return nixspace.LayerImage{}, err
	}
	if _, _, err := publish(l.path(k, ".json"), writeBytes(rec)); err != nil {
		return nixspace.LayerImage{}, err
	}
	progress.Report(nixspace.Progress{Job: "layer " + name, Phase: "image", Done: size, Total: size, Unit: "B", Final: true})
	return nixspace.LayerImage{Name: name, Digest: digest, Size: size, Path: l.path(k, ".erofs")}, nil
}

// throttle reports every few megabytes.
func throttle(name string, progress nixspace.ProgressFunc) func(done, total int64) {
	var last int64
	return func(done, total int64) {
		if done-last < 4<<20 {
			return
		}
		last = done
		progress.Report(nixspace.Progress{Job: "layer " + name, Phase: "image", Done: done, Total: total, Unit: "B"})
	}
}

// isStorePath reports whether p is a top-level path of the Nix store: a digest
// of 32 characters, a hyphen and a name.
func isStorePath(p string) bool {
	base, ok := strings.CutPrefix(p, nixspace.StoreDir+"/")
	if !ok || len(base) < 34 || len(base) > 32+1+211 || base[32] != '-' {
		return false
	}
	for i := range len(base) {
		c := base[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z'
		if i < 32 && !alnum || !alnum && ('A' > c || c > 'Z') && !strings.ContainsRune("+-._?=", rune(c)) {
			return false
		}
	}
	return true
}
