package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
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
