package stack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// The bounds of what is read of a repository.
const (
	MaxFile    = 1 << 20  // bytes of one file
	MaxTotal   = 16 << 20 // bytes of all files together
	MaxFolders = 400      // folders that are looked into
	MaxNames   = 5000     // names in one folder
	MaxDepth   = 3        // levels of folders below the root
	maxItems   = 2000     // things of one kind in a report
)

// skipped are folders that hold what others wrote, or what was made.
var skipped = []string{
	"node_modules", "vendor", "third_party", "testdata", "test", "tests", "__tests__", "spec", "fixtures", "examples",
	"example", "samples", "docs", "doc", "dist", "build", "target", "out", "venv", "env", "__pycache__", "deps", "Pods",
	"bower_components", "site-packages", "tmp", "templates", "template", "packaging", "contrib", "debian", "benchmarks",
}

// entered are folders with a dot that say something.
var entered = []string{".devcontainer", ".config"}

// Detect says what the repository in fsys needs. It fails with code
// repository_unreadable where the root cannot be listed; what else cannot be read
// is a note in the report. fsys is read from one goroutine.
func Detect(fsys fs.FS) (Report, error) {
	s := &scan{fsys: fsys}
	if err := s.walk(); err != nil {
		return Report{}, err
	}
	for i := range s.folders {
		f := &s.folders[i]
		for _, d := range detectors {
			d(f)
		}
	}
	s.report.sort()
	return s.report, nil
}

// detectors look into one folder each time. Of what two say about the same script
// or port, the first counts.
var detectors = []func(*folder){
	detectVersionManagers, detectNix,
	detectNode, detectPrisma, detectPython, detectGo, detectRust, detectRuby, detectMaven, detectGradle, detectPHP, detectElixir, detectDotnet,
	detectCompose, detectProcfile, detectVariables, detectDockerfile, detectMake, detectDevcontainer, detectGit,
}

// scan is one detection.
type scan struct {
	fsys    fs.FS
	folders []folder
	read    int64
	report  Report
}

// folder is one folder of the repository.
type folder struct {
	*scan
	dir   string // from the root; empty for the root
	names []string
	files map[string]bool // regular files
	// javascript is the package manager of its package.json, once that was read.
	javascript *manager
}

// walk lists the folders that are looked into, level by level, so that the bounds
// cut the deepest.
func (s *scan) walk() error {
	next := []string{"."}
	for level := 0; level <= MaxDepth && len(next) > 0; level++ {
		var below []string
		for _, dir := range next {
			if len(s.folders) == MaxFolders {
				s.note(Evidence{File: dir}, "only the first %d folders were looked into", MaxFolders)
				return nil
			}
			f, subs, err := s.list(dir)
			if err != nil && dir == "." {
				return nixspace.Errorf(nixspace.KindInvalid, "repository_unreadable", "the folder cannot be read: %w", err)
			}
			if err != nil {
				s.note(Evidence{File: dir}, "the folder cannot be read")
				continue
			}
			s.folders = append(s.folders, f)
			below = append(below, subs...)
		}
		next = below
	}
	return nil
}

func (s *scan) list(dir string) (f folder, subs []string, err error) {
	d, err := s.fsys.Open(dir)
	if err != nil {
		return f, nil, err
	}
	defer d.Close()
	lister, ok := d.(fs.ReadDirFile)
	if !ok {
		return f, nil, errors.New("it is no folder")
	}
	entries, err := lister.ReadDir(MaxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, nil, err
	}
	f = folder{scan: s, files: map[string]bool{}}
	if dir != "." {
		f.dir = dir
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir():
			if enters(name) {
				subs = append(subs, path.Join(dir, name))
			}
			f.names = append(f.names, name+"/")
		case e.Type().IsRegular():
			f.files[name] = true
			f.names = append(f.names, name)
		}
	}
	slices.Sort(f.names)
	slices.Sort(subs)
	if len(entries) == MaxNames {
		s.note(Evidence{File: shownDir(dir)}, "it has many names; only the first %d were looked at", MaxNames)
	}
	return f, subs, nil
}

func shownDir(dir string) string {
	if dir == "." {
		return "./"
	}
	return dir
}

func enters(name string) bool {
	if strings.HasPrefix(name, ".") {
		return slices.Contains(entered, name)
	}
	return !slices.Contains(skipped, name)
}

// note writes down what a person should know.
func (s *scan) note(at Evidence, format string, args ...any) {
	if len(s.report.Notes) < maxItems {
		s.report.Notes = append(s.report.Notes, Note{Message: fmt.Sprintf(format, args...), Evidence: at})
	}
}

// has reports whether the folder has a regular file of a name.
func (f *folder) has(name string) bool { return f.files[name] }

// first returns the first of names that there is, or "".
func (f *folder) first(names ...string) string {
	for _, n := range names {
		if f.files[n] {
			return n
		}
	}
	return ""
}

// root reports whether this is the repository's root.
func (f *folder) root() bool { return f.dir == "" }

// path returns the path of a file in the folder, from the root.
func (f *folder) path(name string) string { return path.Join(f.dir, name) }

// open reads a file of the folder; nil where there is none, or where it cannot be
// read, which is noted.
func (f *folder) open(name string) *file {
	if !f.files[name] {
		return nil
	}
	at := Evidence{File: f.path(name)}
	data, err := f.bytes(at.File)
	if err != nil {
		f.note(at, "%v", err)
		return nil
	}
	f.report.Files++
	return &file{folder: f, path: at.File, data: data}
}

func (s *scan) bytes(name string) ([]byte, error) {
	r, err := s.fsys.Open(name)
	if err != nil {
		return nil, errors.New("it cannot be opened")
	}
	defer r.Close()
	info, err := r.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > MaxFile:
		return nil, errTooLarge
	case s.read >= MaxTotal:
		return nil, errors.New("it was not read: the files before it were large enough")
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	s.read += int64(len(data))
	if len(data) > MaxFile {
		return nil, errTooLarge
	}
	return data, nil
}

var errTooLarge = fmt.Errorf("it is larger than %d KiB, so it was not read", MaxFile>>10)
