package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/history"
	"github.com/nixspace/nixspace/env/manifest"
)

// LogEntry is one version of a log, and what points at it.
type LogEntry struct {
	nixspace.Commit
	Environments []string // project/name of those whose head it is
	Tags         []string
}

// Log lists versions and all their ancestors, newest first and every version
// before its parents. It begins at refs: environments, tags or versions; without
// any, at the heads of a project's environments, or of all of them. Rest is what
// it stopped before: give it as from to go on; refs do not matter then.
//
// It costs what it returns, however long the history is.
func (a *UseCases) Log(ctx context.Context, project string, refs, from []string, limit int) (entries []LogEntry, rest []string, err error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if limit <= 0 || limit > environments.MaxPage {
		limit = environments.MaxPage
	}
	if len(refs) > maxTips || len(from) > maxFrontier {
		return nil, nil, tooManyTips()
	}
	tips := from
	if len(tips) == 0 {
		if tips, err = a.tips(ctx, tx, project, refs); err != nil {
			return nil, nil, err
		}
	}
	var hashes []string
	rest, err = history.Walk(records.Loader(ctx, tx, limit+len(tips)), tips, func(n history.Node) bool {
		if len(hashes) == limit {
			return false
		}
		hashes = append(hashes, n.Hash)
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err = logEntries(ctx, tx, hashes)
	return entries, rest, err
}

// Limits of a log: how many references it may begin at, and how many lines may
// be open where it goes on.
const (
	maxTips     = 1000
	maxFrontier = 2000
)

func tooManyTips() error {
	return nixspace.Errorf(nixspace.KindLimit, "too_many_references", "a log can begin at %d versions at most", maxTips).
		WithHint("name the environments that it is to be about")
}

func (a *UseCases) tips(ctx context.Context, tx records.Tx, project string, refs []string) ([]string, error) {
	var tips []string
	for _, ref := range refs {
		_, v, err := records.FindVersion(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		tips = append(tips, v.VersionHash)
	}
	if len(refs) > 0 {
		return tips, nil
	}
	envs, err := records.EnvironmentsOf(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	var heads []nixspace.ID
	seen := map[nixspace.ID]bool{}
	for _, e := range envs {
		if !seen[e.Head] {
			seen[e.Head] = true
			heads = append(heads, e.Head)
		}
	}
	if len(heads) > maxTips {
		return nil, tooManyTips()
	}
	return tx.Versions().Hashes(ctx, heads...)
}

func logEntries(ctx context.Context, tx records.Tx, hashes []string) ([]LogEntry, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	commits, err := tx.History().Commits(ctx, hashes)
	if err != nil {
		return nil, err
	}
	entries := make([]LogEntry, len(hashes))
	at := map[string]int{}
	for i, h := range hashes {
		at[h] = i
	}
	place := map[nixspace.ID]*LogEntry{}
	ids := make([]nixspace.ID, len(commits))
	for i, c := range commits {
		e := &entries[at[c.Hash]]
		e.Commit = c
		place[c.ID], ids[i] = e, c.ID
	}
	envs, err := tx.History().HeadsAt(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for _, env := range envs {
		place[env.Head].Environments = append(place[env.Head].Environments, env.Ref())
	}
	tags, err := tx.Tags().At(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		place[t.VersionID].Tags = append(place[t.VersionID].Tags, t.Ref())
	}
	return entries, nil
}

// MergeBases returns the best common ancestors of two versions, the newest first.
func (a *UseCases) MergeBases(ctx context.Context, refA, refB string) ([]LogEntry, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	var hashes [2]string
	for i, ref := range []string{refA, refB} {
		_, v, err := records.FindVersion(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		hashes[i] = v.VersionHash
	}
	bases, err := history.MergeBases(records.Loader(ctx, tx, records.SearchPortion), hashes[:1], hashes[1:])
	if err != nil || len(bases) == 0 {
		return nil, err
	}
	found := make([]string, len(bases))
	for i, b := range bases {
		found[i] = b.Hash
	}
	return logEntries(ctx, tx, found)
}

// Reflog lists where an environment's head was, newest first: limit moves, those
// with Seq less than before (any when it is 0).
func (a *UseCases) Reflog(ctx context.Context, ref string, before int64, limit int) ([]nixspace.HeadMove, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > environments.MaxPage {
		limit = environments.MaxPage
	}
	env, err := records.FindEnvironment(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	return tx.History().Moves(ctx, env.ID, max(before, 0), 0, limit)
}

// BlameLine says which version brought one item of a manifest.
type BlameLine struct {
	Path  string
	Value string
	Entry LogEntry
}

// Blame says for everything in a version's manifest which version brought it as
// it is.
func (a *UseCases) Blame(ctx context.Context, ref string) ([]BlameLine, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := records.FindVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	c := &blamed{ctx: ctx, tx: tx}
	found, err := history.Blame(records.Loader(ctx, tx, records.SearchPortion), c, v.VersionHash)
	if err != nil {
		return nil, err
	}
	items, err := c.Items(v.VersionHash)
	if err != nil {
		return nil, err
	}
	hashes := slices.Sorted(maps.Values(found))
	entries, err := logEntries(ctx, tx, slices.Compact(hashes))
	if err != nil {
		return nil, err
	}
	lines := make([]BlameLine, len(items))
	for i, item := range items {
		lines[i] = BlameLine{Path: item.Path, Value: item.Value}
		for _, e := range entries {
			if e.Hash == found[item.Path] {
				lines[i].Entry = e
			}
		}
	}
	return lines, nil
}

// blamed reads what blame asks for. It lives for one call, whose context it has.
type blamed struct {
	ctx context.Context
	tx  records.Tx
}

func (b *blamed) Changes(hashes []string) (map[string][]nixspace.Change, error) {
	commits, err := b.tx.History().Commits(b.ctx, hashes)
	if err != nil {
		return nil, err
	}
	out := map[string][]nixspace.Change{}
	for _, c := range commits {
		out[c.Hash] = c.Changes
	}
	return out, nil
}

func (b *blamed) Items(hash string) ([]manifest.Item, error) {
	id, err := records.FindHash(b.ctx, b.tx, hash)
	if err != nil {
		return nil, err
	}
	v, err := records.OneVersion(b.ctx, b.tx, id)
	if err != nil {
		return nil, err
	}
	r, err := records.Restore(v)
	if err != nil {
		return nil, fmt.Errorf("blame: %w", err)
	}
	return manifest.Items(r), nil
}
