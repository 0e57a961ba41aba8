package prebuilds

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
)

var _ sessions.Prebuilds = (*UseCases)(nil)

// Begin implements sessions.Prebuilds: it says what a new session of a version begins
// from. That is the prebuild of its manifest and its code; while there is none, the
// last good one of the project, with which its disk can be used. What is missing is
// queued if want is set, unless it failed before: that needs a person.
func (u *UseCases) Begin(ctx context.Context, actor nixspace.Actor, tx records.Tx, env *nixspace.Environment, v *nixspace.Version, want bool) (*sessions.Beginning, error) {
	if u.cfg.Jobs == nil {
		return nil, nil
	}
	p, err := describe(ctx, tx, env, v)
	if err != nil || p == nil {
		return nil, err
	}
	best, err := tx.Prebuilds().Best(ctx, p)
	if err != nil && !records.NotFound(err) {
		return nil, err
	}
	if (best == nil || best.Key != p.Key) && want {
		tried, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{Key: p.Key})
		if err != nil {
			return nil, err
		}
		// A good one that is not the best has lost its snapshot.
		if len(tried) == 0 || tried[0].Status == nixspace.BuildSucceeded {
			if err := u.queue(ctx, actor, tx, p); err != nil {
				return nil, err
			}
		}
	}
	if best == nil {
		return nil, nil
	}
	begin := &sessions.Beginning{
		Prebuild: best.ID, Snapshot: best.Snapshot, DiskOnly: best.ManifestHash != p.ManifestHash, Earlier: best.Key != p.Key,
	}
	if begin.DiskOnly {
		if ok, err := sameData(ctx, tx, best.VersionID, v); err != nil || !ok {
			return nil, err
		}
	}
	if best.Workspace != p.Workspace && u.cfg.Trees == nil {
		return nil, nil
	}
	return begin, nil
}

// sameData reports whether one version can use the data of another one.
func sameData(ctx context.Context, tx records.Tx, before nixspace.ID, now *nixspace.Version) (bool, error) {
	old, err := records.OneVersion(ctx, tx, before)
	if err != nil {
		return false, err
	}
	was, err := records.Restore(old)
	if err != nil {
		return false, err
	}
	is, err := records.Restore(now)
	if err != nil {
		return false, err
	}
	had, has := sessions.PostgresMajor(was), sessions.PostgresMajor(is)
	return had == "" || has == "" || had == has, nil
}

// Refresh implements sessions.Prebuilds: it brings the code of a session that began
// from a prebuild of other code up to date.
func (u *UseCases) Refresh(ctx context.Context, s *nixspace.Session, m nixspace.Machine) error {
	tx := u.cfg.Records.Store.Read()
	p, err := tx.Prebuilds().Of(ctx, s.SnapshotID)
	if records.NotFound(err) {
		return nil // it began from no prebuild
	}
	if err != nil {
		return err
	}
	code, err := tx.Code().Of(ctx, s.EnvironmentID)
	if err != nil || code.Workspace == p.Workspace {
		return err
	}
	if err := u.renew(ctx, m, p.Workspace, code.Workspace); err != nil {
		return fmt.Errorf("bring the code of session %s up to date: %w", s.Ref(), err)
	}
	return nil
}

// renew replaces the code of one digest in a machine by that of another one. What
// the setup made beside it stays.
func (u *UseCases) renew(ctx context.Context, m nixspace.Machine, before, now string) error {
	files, ok := m.(nixspace.Files)
	if !ok {
		return nixspace.Errorf(nixspace.KindUnavailable, "files_unsupported", "the files of the machine cannot be written")
	}
	old, err := u.names(ctx, before)
	if err != nil {
		return err
	}
	kept, err := u.names(ctx, now)
	if err != nil {
		return err
	}
	var gone []string
	for name := range old {
		if !kept[name] && !strings.HasPrefix(name, ".git/") {
			gone = append(gone, "./"+name)
		}
	}
	const batch = 200
	for len(gone) > 0 {
		n := min(batch, len(gone))
		argv := append([]string{"rm", "-f", "--"}, gone[:n]...)
		if _, err := execute(ctx, m, nixspace.Command{Argv: argv}, func(string) {}); err != nil {
			return err
		}
		gone = gone[n:]
	}
	if now == "" {
		return nil
	}
	path, err := u.cfg.Workspaces.Path(now)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the code: %w", err)
	}
	defer f.Close()
	_, err = files.WriteFiles(ctx, "/workspace", f, true)
	return err
}

// names lists the files and links of stored code.
func (u *UseCases) names(ctx context.Context, digest string) (map[string]bool, error) {
	out := map[string]bool{}
	if digest == "" {
		return out, nil
	}
	var tree fetches.Tree
	tree, err := u.cfg.Trees.Tree(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[name] = true
		}
		return err
	})
	return out, err
}
