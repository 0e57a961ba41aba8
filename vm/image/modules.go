package image

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// guestModules are the modules that a guest needs, by name. The order in which
// they are loaded follows from what each depends on.
var guestModules = []string{
	"virtio_mmio", "virtio_console", "virtio_blk", "virtio_rng", "erofs", "overlay", "ext4",
}

// softDepends are dependencies that modules do not declare as such: they ask for
// them by an algorithm's name at run time, when there is no program yet that
// could load them.
var softDepends = map[string][]string{
	"libcrc32c": {"crc32c_generic"},
	"ext4":      {"crc32c_generic"},
}

// optionalModules may be missing without harm.
var optionalModules = map[string]bool{"virtio_rng": true, "crc32c_generic": true}

const maxModule = 32 << 20

// module is one kernel module, unpacked.
type module struct {
	name    string // with underscores, as the kernel writes it
	depends []string
	data    []byte
}

// loadModules returns the wanted modules and everything that they depend on,
// each after its dependencies. What the kernel has built in is left out.
func loadModules(dir string, wanted []string) ([]module, error) {
	files, builtin, err := listModules(dir)
	if err != nil {
		return nil, err
	}
	var out []module
	state := make(map[string]int) // 1: being visited, 2: done
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return fmt.Errorf("module %s depends on itself", name)
		case 2:
			return nil
		}
		state[name] = 1
		path, ok := files[name]
		if !ok {
			if !builtin[name] && !optionalModules[name] {
				return fmt.Errorf("module %s is neither in %s nor built into the kernel", name, dir)
			}
			state[name] = 2
			return nil
		}
		m, err := readModule(name, path)
		if err != nil {
			return fmt.Errorf("read module %s: %w", path, err)
		}
		for _, d := range append(m.depends, softDepends[name]...) {
			if err := visit(d); err != nil {
				return err
			}
		}
		state[name] = 2
		out = append(out, m)
		return nil
	}
	for _, name := range wanted {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// moduleName returns the name of the module in a file: its base name without
// suffixes and with underscores.
func moduleName(path string) (string, bool) {
	base := filepath.Base(path)
	for _, suffix := range []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if name, ok := strings.CutSuffix(base, suffix); ok && name != "" {
			return strings.ReplaceAll(name, "-", "_"), true
		}
	}
	return "", false
}

func listModules(dir string) (files map[string]string, builtin map[string]bool, err error) {
	files, builtin = make(map[string]string), make(map[string]bool)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, ok := moduleName(path); ok && d.Type().IsRegular() {
			files[name] = path
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	list, err := readBounded(filepath.Join(dir, "modules.builtin"), 4<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for line := range strings.Lines(string(list)) {
		if name, ok := moduleName(strings.TrimSpace(line)); ok {
			builtin[name] = true
		}
	}
	return files, builtin, nil
}

func readModule(name, path string) (module, error) {
	b, err := readBounded(path, maxModule)
	if err != nil {
		return module{}, err
	}
	var r io.Reader = bytes.NewReader(b)
	switch filepath.Ext(path) {
	case ".xz":
		r, err = xz.NewReader(r)
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return module{}, err
	}
	if b, err = io.ReadAll(io.LimitReader(r, maxModule+1)); err != nil {
		return module{}, err
	}
	if len(b) > maxModule {
		return module{}, fmt.Errorf("larger than %d bytes", maxModule)
	}
	depends, err := moduleDepends(b)
	if err != nil {
		return module{}, err
	}
	return module{name: name, depends: depends, data: b}, nil
}

// moduleDepends reads the names of the modules that one needs from its section
// .modinfo: strings "key=value", each ended by a zero byte, of which "depends"
// is a list separated by commas.
func moduleDepends(b []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("it has no .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	var out []string
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		list, ok := strings.CutPrefix(string(entry), "depends=")
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(list, ",") {
			if name != "" {
				out = append(out, strings.ReplaceAll(name, "-", "_"))
			}
		}
	}
	return out, nil
}
