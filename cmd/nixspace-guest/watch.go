package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	watchedMax = 8192 // folders
	changesMax = 2000 // that are told at once; the editor then looks at all again
	calm       = 75 * time.Millisecond
)

// What happened to a file, in VS Code's numbers.
const (
	updated = 0
	added   = 1
	deleted = 2
)

// watch prints, in lists of JSON, what changes below a folder, until standard input
// ends. Of .git only what tells that something happened is watched.
func watch(args []string) error {
	if len(args) != 1 || !filepath.IsAbs(args[0]) {
		return errors.New("watch takes a folder")
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	t := &tree{w: w, root: filepath.Clean(args[0])}
	t.add(t.root)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	changes := map[string]int{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-gone:
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if kind, interesting := t.event(e); interesting && len(changes) < changesMax {
				if len(changes) == 0 {
					timer.Reset(calm)
				}
				changes[e.Name] = merged(changes, e.Name, kind)
			}
		case _ = <-w.Errors: // too much at once: the editor looks at the whole again
			changes[t.root] = updated
			timer.Reset(calm)
		case <-timer.C:
			list := make([][2]any, 0, len(changes))
			for name, kind := range changes {
				list = append(list, [2]any{kind, name})
			}
			changes = map[string]int{}
			if err := out.Encode(list); err != nil {
				return nil // nobody listens any more
			}
		}
	}
}

// merged is what two changes of a file come to.
func merged(changes map[string]int, name string, kind int) int {
	before, known := changes[name]
	if known && before == added && kind == updated {
		return added
	}
	if known && before == deleted && kind == added {
		return updated
	}
	return kind
}

// tree is the folders that are watched.
type tree struct {
	w       *fsnotify.Watcher
	root    string
	watched int
}

// add watches a folder and those in it.
func (t *tree) add(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if p != t.root && slices.Contains(heavy, d.Name()) && d.Name() != ".git" {
			return fs.SkipDir
		}
		if t.watched >= watchedMax {
			return fs.SkipAll
		}
		if t.w.Add(p) == nil {
			t.watched++
		}
		if d.Name() == ".git" {
			return fs.SkipDir // HEAD, index and the like are in the folder itself
		}
		return nil
	})
}

// event takes an event, and reports whether it is one to tell.
func (t *tree) event(e fsnotify.Event) (kind int, interesting bool) {
	inGit := strings.Contains(e.Name, "/.git/")
	if strings.HasSuffix(e.Name, ".lock") && inGit {
		return 0, false
	}
	switch {
	case e.Has(fsnotify.Create):
		if info, err := os.Lstat(e.Name); err == nil && info.IsDir() && !inGit {
			t.add(e.Name)
		}
		return added, true
	case e.Has(fsnotify.Remove), e.Has(fsnotify.Rename):
		return deleted, true
	case e.Has(fsnotify.Write):
		return updated, true
	}
	return 0, false // a mode or a time
}
