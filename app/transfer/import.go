package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/bundle"
)

// ImportQuery asks for an environment out of a file.
type ImportQuery struct {
	// As is the new environment's name, NAME or PROJECT/NAME; empty for the name that
	// the file has for it.
	As string
	// Trust takes store paths on the word of whoever made the file. That a path has
	// the content that the file says is verified; that it was built from what its name
	// says cannot be.
	Trust  bool
	Limits bundle.Limits
}

// ImportOutcome says what came of an import.
type ImportOutcome string

// The outcomes. With the last one nothing was changed but store paths.
const (
	ImportCreated     ImportOutcome = "created"
	ImportFastForward ImportOutcome = "fast_forward" // an environment here was at an earlier version
	ImportUpToDate    ImportOutcome = "up_to_date"   // an environment here is at that version, or at a later one
)

// Imported is what an import made.
type Imported struct {
	Outcome     ImportOutcome
	Environment *nixspace.Environment
	Version     *nixspace.Version // its head
	Build       *nixspace.Build   // of Version
	// Versions and Paths are how many versions and store paths were new here.
	Versions, Paths int
}

// importer is one import under way.
type importer struct {
	*UseCases
	file io.ReadSeeker
	in   ImportQuery
	idx  *bundle.Index
	head *nixspace.Version // as the file has it
	// project and name are where the environment goes.
	project, name string
	existing      *nixspace.Project     // nil where the project is new
	behind        *nixspace.Environment // to be moved to the file's head; nil where it is new
	missing       map[string]bool       // store paths that are not here
}

// Import makes an environment out of a file. The file is verified as a whole before
// anything of it is used, and read again for each step, so it must not change
// meanwhile. Nothing is committed unless everything is there: at worst, store paths
// are left that nobody roots. Importing what is here already changes nothing; an
// environment that is here at an earlier version is moved to the file's.
//
// It fails as [bundle.Read] does; with "history_missing" where the file begins after
// versions that are not here; "closure_untrusted" where it brings store paths and
// in.Trust is not set; "environment_exists" where the name is taken by another
// history; and "environment_protected" where only merges may move that environment.
func (a *UseCases) Import(ctx context.Context, file io.ReadSeeker, in ImportQuery) (*Imported, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	m := &importer{UseCases: a, file: file, in: in}
	m.idx, err = m.pass(bundle.Visitor{Version: func(v *nixspace.Version) error {
		m.head = v // the last one is
		return ctx.Err()
	}})
	if err != nil {
		return nil, err
	}
	if done, err := m.target(ctx, tx); done != nil || err != nil {
		return done, err
	}
	if err := m.prerequisites(ctx, tx); err != nil {
		return nil, err
	}
	if err := m.paths(ctx); err != nil {
		return nil, err
	}
	if err := m.code(ctx); err != nil {
		return nil, err
	}
	return m.commit(ctx)
}

// pass reads the file from its beginning.
func (m *importer) pass(v bundle.Visitor) (*bundle.Index, error) {
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read an import: %w", err)
	}
	return bundle.Read(m.file, m.in.Limits, v)
}

// errStop ends a pass that has seen what it is for.
var errStop = errors.New("seen enough")

// target decides where the environment goes. It returns what is there when that has
// everything that the file has.
func (m *importer) target(ctx context.Context, tx records.Tx) (*Imported, error) {
	m.project, m.name = m.idx.Project, m.idx.Environment
	if m.in.As != "" {
		project, name, qualified := strings.Cut(m.in.As, "/")
		if !qualified {
			project, name = m.project, m.in.As
		}
		m.project, m.name = project, name
	}
	if err := errors.Join(nixspace.CheckName("a project", m.project), nixspace.CheckName("an environment", m.name)); err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "%w", err)
	}
	p, err := tx.Projects().BySlug(ctx, m.project)
	if records.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.existing = p
	found, err := tx.Environments().Named(ctx, m.project, m.name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	env := &found[0]
	head, err := records.OneVersion(ctx, tx, env.Head)
	if err != nil {
		return nil, err
	}
	later, err := m.isAncestor(ctx, tx, head.VersionHash)
	if err != nil {
		return nil, err
	}
	switch {
	case later && env.Protected:
		return nil, nixspace.Protected(env)
	case later:
		m.behind = env
		return nil, nil
	}
	here, err := tx.Versions().ByHash(ctx, m.idx.Head, 1)
	if err != nil {
		return nil, err
	}
	current := false
	if len(here) == 1 {
		if current, err = records.Contains(ctx, tx, head.VersionHash, m.idx.Head); err != nil {
			return nil, err
		}
	}
	if !current {
		return nil, nixspace.Errorf(nixspace.KindExists, "environment_exists", "there is already an environment %s, which has changes that the file does not have", env.Ref()).
			WithHint("give it another name with --as, and merge the two if they belong together")
	}
	if err := m.paths(ctx); err != nil { // they may have been collected
		return nil, err
	}
	b, err := builds.NewestBuild(ctx, tx, head.ID)
	return &Imported{Outcome: ImportUpToDate, Environment: env, Version: head, Build: b, Paths: len(m.missing)}, err
}

// isAncestor reports whether the file's head follows a version, and is not the same.
func (m *importer) isAncestor(ctx context.Context, tx records.Tx, version string) (bool, error) {
	if version == m.idx.Head {
		return false, nil
	}
	// Every version in the file is the head's ancestor, and so is what it begins after.
	if slices.Contains(m.idx.Versions, version) {
		return true, nil
	}
	for _, h := range m.idx.Prerequisites {
		found, err := tx.Versions().ByHash(ctx, h, 1)
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			continue // which is said later
		}
		if is, err := records.Contains(ctx, tx, h, version); is || err != nil {
			return is, err
		}
	}
	return false, nil
}

func (m *importer) prerequisites(ctx context.Context, tx records.Tx) error {
	for _, h := range m.idx.Prerequisites {
		found, err := tx.Versions().ByHash(ctx, h, 1)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nixspace.Errorf(nixspace.KindInvalid, "history_missing", "the file's history begins after version %s, which is not here", records.Short(h)).
				WithHint("export it with all of its history, or import the earlier part first").WithDetail("version", h)
		}
	}
	return nil
}

// paths makes the store paths of the file valid, and roots them.
func (m *importer) paths(ctx context.Context) error {
	if len(m.idx.Paths) == 0 {
		return nil
	}
	store, ok := m.packages.(StorePaths)
	if !ok {
		return noStore()
	}
	for _, r := range m.idx.Roots {
		if r.Name == bundle.RootEnvironment && r.Path != m.head.OutPath {
			return nixspace.Errorf(nixspace.KindInvalid, bundle.CodeInvalid, "the file brings %s, which is not its environment", r.Path)
		}
	}
	if err := m.findMissing(ctx, store); err != nil || len(m.missing) == 0 {
		return err
	}
	_, err := m.pass(bundle.Visitor{Path: func(p bundle.Path, nar io.Reader) error {
		if !m.missing[p.Path] {
			return ctx.Err()
		}
		return store.AddNAR(ctx, p.Info(), nar)
	}})
	if err != nil {
		return err
	}
	for _, r := range m.idx.Roots {
		name := r.Name + "-" + builds.StoreHash(r.Path)
		if r.Name == bundle.RootEnvironment {
			name = builds.RootName(m.head)
		}
		if err := store.Root(ctx, name, r.Path); err != nil {
			return err
		}
	}
	return nil
}

func (m *importer) findMissing(ctx context.Context, store StorePaths) error {
	var all []string
	for _, p := range m.idx.Paths {
		all = append(all, p.Path)
	}
	valid, err := store.ValidPaths(ctx, all)
	if err != nil {
		return err
	}
	here := make(map[string]bool, len(valid))
	for _, p := range valid {
		here[p] = true
	}
	m.missing = map[string]bool{}
	var size int64
	unproved := 0
	for _, p := range m.idx.Paths {
		if here[p.Path] {
			continue
		}
		m.missing[p.Path] = true
		size += p.NarSize
		if p.CA == "" { // otherwise Nix itself proves that the path is its content's
			unproved++
		}
	}
	if here[m.head.OutPath] && !m.in.Trust {
		if err := m.known(ctx); err != nil {
			return err
		}
	}
	if unproved > 0 && !m.in.Trust {
		return nixspace.Errorf(nixspace.KindInvalid, "closure_untrusted",
			"the file brings %d store paths (%d MiB) that were built elsewhere, and nobody can check from what", unproved, size>>20).
			WithHint("if you trust who made the file, import it with --trust")
	}
	return nil
}

// known makes sure that an environment that is in the store already is the output
// of the derivation that the file says. Otherwise a file could pass off any path
// that is here, somebody else's among them, as what its manifest comes to.
func (m *importer) known(ctx context.Context) error {
	tx, err := m.records.Read(ctx)
	if err != nil {
		return err
	}
	r, err := tx.Versions().Realisation(ctx, m.head.DrvPath)
	if err == nil && r.OutPath == m.head.OutPath {
		return nil
	}
	if err != nil && !records.NotFound(err) {
		return err
	}
	infos, err := m.packages.Closure(ctx, m.head.OutPath)
	if err != nil {
		return err
	}
	for _, i := range infos {
		if i.Path == m.head.OutPath && i.Deriver != "" && i.Deriver == m.head.DrvPath {
			return nil
		}
	}
	return nixspace.Errorf(nixspace.KindInvalid, "output_unproved",
		"the file says that %s is its environment, which is here, but nothing here shows that it was built from what the file says", m.head.OutPath).
		WithHint("if you trust who made the file, import it with --trust")
}

// code stores the project's code, where the project is new.
func (m *importer) code(ctx context.Context) error {
	if m.idx.Workspace == "" || m.existing != nil {
		return nil
	}
	_, err := m.pass(bundle.Visitor{Workspace: func(digest string, r io.Reader) error {
		ws, err := m.workspaces.Put(ctx, r)
		if err == nil && ws.Digest != digest {
			err = nixspace.Errorf(nixspace.KindInvalid, bundle.CodeInvalid, "the code in the file is no plain tar")
		}
		if err != nil {
			return err
		}
		return errStop
	}})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// commit writes the records of everything, in one transaction.
func (m *importer) commit(ctx context.Context) (*Imported, error) {
	var out *Imported
	err := m.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		out = &Imported{Outcome: ImportCreated, Paths: len(m.missing)}
		at := records.Now()
		p, err := m.intoProject(ctx, tx, actor, at)
		if err != nil {
			return err
		}
		env := m.behind
		if env == nil {
			env = &nixspace.Environment{
				ID: nixspace.NewID(), ProjectID: p.ID, Project: p.Slug, Name: m.name, CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
				Hash: m.head.ManifestHash, FlakeContent: m.head.FlakeContent,
			}
		}
		versions, err := m.versions(ctx, tx, actor, env.ID)
		if err != nil {
			return err
		}
		head := versions[len(versions)-1]
		out.Environment, out.Version = env, head
		move := nixspace.HeadMove{EnvironmentID: env.ID, From: env.Head, Action: nixspace.MoveImport, Message: "imported from " + m.idx.String(), Actor: actor.Name, At: at}
		if m.behind == nil {
			env.Head = head.ID
			if err := tx.Environments().Create(ctx, env, environments.FirstMove(actor, move.Action, move.Message)); err != nil {
				return err
			}
		}
		known := make(map[string]*nixspace.Version, len(versions))
		for _, v := range versions {
			known[v.VersionHash] = v
			if v.Seq > 0 {
				continue // it was here
			}
			if err := m.insert(ctx, tx, v, known); err != nil {
				return err
			}
			out.Versions++
		}
		if out.Build, err = m.headBuild(ctx, tx, head, out.Versions > 0); err != nil {
			return err
		}
		if m.behind != nil {
			out.Outcome = ImportFastForward
			if err := tx.Environments().MoveHead(ctx, head, move); err != nil {
				return err
			}
			moved := *env // the transaction may be tried again
			moved.Head, moved.Hash, moved.FlakeContent = head.ID, head.ManifestHash, head.FlakeContent
			out.Environment = &moved
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "environment.imported", ProjectID: p.ID, EnvironmentID: env.ID, BuildID: out.Build.ID, Actor: actor.Name,
			Message: fmt.Sprintf("imported %s", env.Ref()),
			Data:    map[string]any{"version": head.VersionHash, "from": m.idx.String(), "outcome": out.Outcome, "versions": out.Versions, "paths": out.Paths},
		})
	})
	if err != nil {
		return nil, err
	}
	out.Build, err = m.builds.Settle(ctx, out.Build)
	return out, err
}

// intoProject returns the project that the environment goes into, which it makes
// where it is new.
func (m *importer) intoProject(ctx context.Context, tx records.Tx, actor nixspace.Actor, at time.Time) (*nixspace.Project, error) {
	if m.existing != nil {
		return m.existing, nil
	}
	p := &nixspace.Project{ID: nixspace.NewID(), Slug: m.project, Source: m.idx.Source, Workspace: m.idx.Workspace, CreatedAt: at, CreatedBy: actor.ID}
	return p, tx.Projects().Create(ctx, p)
}

// versions returns the versions of the file, parents first: the stored one where
// there is one already. Those that are not stored have no Seq yet.
func (m *importer) versions(ctx context.Context, tx records.Tx, actor nixspace.Actor, env nixspace.ID) ([]*nixspace.Version, error) {
	var out []*nixspace.Version
	_, err := m.pass(bundle.Visitor{Version: func(v *nixspace.Version) error {
		found, err := tx.Versions().ByHash(ctx, v.VersionHash, 1)
		if err != nil {
			return err
		}
		if len(found) == 1 {
			v = &found[0]
		} else {
			v.ID, v.EnvironmentID, v.CreatedBy, v.Seq = nixspace.NewID(), env, actor.ID, 0
		}
		if out = append(out, v); v.VersionHash == m.idx.Head {
			return errStop
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	return out, nil
}

// insert stores a version after its parents, which are among the known ones or stored.
func (m *importer) insert(ctx context.Context, tx records.Tx, v *nixspace.Version, known map[string]*nixspace.Version) error {
	v.Seq = 1
	var first nixspace.ID
	for i, h := range v.Parents {
		p, err := parentOf(ctx, tx, h, known)
		if err != nil {
			return err
		}
		if i == 0 {
			first = p.ID
		}
		v.Seq = max(v.Seq, p.Seq+1)
	}
	if err := tx.Versions().Create(ctx, v, first); err != nil {
		return err
	}
	if v.VersionHash == m.idx.Head {
		return nil
	}
	// Every version has a build; of these, nobody knows what became of theirs.
	at := records.Now()
	return tx.Builds().Create(ctx, &nixspace.Build{
		ID: nixspace.NewID(), VersionID: v.ID, Status: nixspace.BuildCanceled, CreatedAt: at, FinishedAt: at,
		Error: "it was imported, and has not been built here", ErrorCode: "imported",
	})
}

func parentOf(ctx context.Context, tx records.Tx, hash string, known map[string]*nixspace.Version) (*nixspace.Version, error) {
	if v := known[hash]; v != nil {
		return v, nil
	}
	found, err := tx.Versions().ByHash(ctx, hash, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("import: version %s is gone", hash)
	}
	return &found[0], nil
}

// headBuild opens a build of the head, unless it was here before.
func (m *importer) headBuild(ctx context.Context, tx records.Tx, head *nixspace.Version, isNew bool) (*nixspace.Build, error) {
	if !isNew {
		return builds.NewestBuild(ctx, tx, head.ID)
	}
	present := len(m.idx.Paths) > 0
	if !present {
		var err error
		if present, err = m.builds.Present(ctx, head); err != nil {
			return nil, err
		}
	}
	return m.builds.OpenBuild(ctx, tx, head.ID, present, records.Now())
}
