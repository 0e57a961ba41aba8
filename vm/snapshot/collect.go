package snapshot

import (
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/volume"
)

// Collect finds the templates that no session was started from since before
// unused; with remove, it removes them. A session that is about to start from one
// boots instead, or has copied it already.
func (s *Store) Collect(unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	list, err := s.listTemplates()
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, t := range list {
		if !t.used.Before(unused) {
			continue
		}
		g := nixspace.Garbage{
			Kind: nixspace.GarbageTemplate, Name: t.key[:min(len(t.key), 12)], Size: s.Size(s.Template(t.key)), LastUsed: t.used,
			Reason: "no session was started from it since " + t.used.Format(time.DateOnly),
		}
		if remove {
			if err := s.RemoveTemplate(t.key); err != nil {
				g.Error = err.Error()
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	return out, nil
}

// Size returns how many bytes the files of a saved machine hold, those that it
// shares with others included.
func (s *Store) Size(f Files) int64 {
	var n int64
	for _, path := range []string{f.Disk, f.Memory, f.State, f.SharedMemory} {
		if path == "" {
			continue
		}
		if u, err := volume.FileUsage(path); err == nil {
			n += u.Size
		}
	}
	return n
}
