package records

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/history"
)

// References. An environment is named "env" where that name is unique,
// "project/env" always, or by its UUID; a version by its environment (the head),
// by a tag, by a unique prefix, of 6 digits at least, of its version hash, or by
// its UUID, and by what may follow these (see history.Ref); a session by "env/1",
// "project/env/1" or its UUID. Where a name could be several, an environment
// comes first, then a tag, then a hash.

// MaxCandidates is how many matches an ambiguity names.
const MaxCandidates = 6

// HashPrefix matches what can begin a version hash in a reference.
var HashPrefix = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

// NotFound reports whether an error says that there is no such record.
func NotFound(err error) bool { return nixspace.ErrorKind(err) == nixspace.KindNotFound }

// FindProject returns the project of a slug or an ID.
func FindProject(ctx context.Context, tx Tx, ref string) (*nixspace.Project, error) {
	if nixspace.ID(ref).Valid() {
		return tx.Projects().ByID(ctx, nixspace.ID(ref))
	}
	p, err := tx.Projects().BySlug(ctx, ref)
	if !NotFound(err) {
		return p, err
	}
	e := nixspace.Errorf(nixspace.KindNotFound, "project_unknown", "there is no project %q", ref)
	all, err := tx.Projects().List(ctx)
	if err != nil {
		return nil, err
	}
	var slugs []string
	for _, p := range all {
		slugs = append(slugs, p.Slug)
	}
	return nil, withSuggestions(e, Nearest(ref, slugs))
}

// EnvironmentsOf returns the environments of a project, or all of them where none is
// named.
func EnvironmentsOf(ctx context.Context, tx Tx, project string) ([]nixspace.Environment, error) {
	if project == "" {
		return tx.Environments().List(ctx, "")
	}
	p, err := FindProject(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	return tx.Environments().List(ctx, p.ID)
}

func withSuggestions(e *nixspace.Error, names []string) *nixspace.Error {
	if len(names) == 0 {
		return e.WithHint("`nixspace list` shows what there is")
	}
	return e.WithHint("did you mean %s?", ListOr(names)).WithDetail("suggestions", names)
}

// OneEnvironment returns the environment of an ID.
func OneEnvironment(ctx context.Context, tx Tx, id nixspace.ID) (*nixspace.Environment, error) {
	found, err := tx.Environments().ByIDs(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "there is no environment %s", id)
	}
	return &found[0], nil
}

// OneVersion returns the version of an ID.
func OneVersion(ctx context.Context, tx Tx, id nixspace.ID) (*nixspace.Version, error) {
	found, err := tx.Versions().ByIDs(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "there is no version %s", id)
	}
	return &found[0], nil
}

// FindEnvironment returns the environment of NAME, PROJECT/NAME or an ID. A name that
// several projects have is ambiguous.
func FindEnvironment(ctx context.Context, tx Tx, ref string) (*nixspace.Environment, error) {
	if nixspace.ID(ref).Valid() {
		return OneEnvironment(ctx, tx, nixspace.ID(ref))
	}
	project, name, ok := SplitName(ref)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name an environment", ref).
			WithHint("write NAME or PROJECT/NAME")
	}
	found, err := tx.Environments().Named(ctx, project, name)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 1:
		return &found[0], nil
	case 0:
		return nil, unknownEnvironment(ctx, tx, ref)
	}
	var refs []string
	for _, e := range found[:min(len(found), MaxCandidates)] {
		refs = append(refs, e.Ref())
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "environment_ambiguous", "%q names %d environments", ref, len(found)).
		WithHint("write %s", ListOr(refs)).WithDetail("candidates", refs)
}

// maxSuggested bounds how many names are compared for a suggestion.
const maxSuggested = 5000

func unknownEnvironment(ctx context.Context, tx Tx, ref string) error {
	e := nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "there is no environment %q", ref)
	all, err := tx.Environments().Refs(ctx, maxSuggested)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return e.WithHint("there are no environments yet: make one with `nixspace create NAME`")
	}
	return withSuggestions(e, Nearest(ref, all))
}

// SplitName splits "name" and "project/name".
func SplitName(ref string) (project, name string, ok bool) {
	project, name, qualified := strings.Cut(ref, "/")
	if !qualified {
		project, name = "", ref
	}
	ok = name != "" && (!qualified || project != "") && !strings.ContainsAny(name, "/~^@") && len(ref) <= 200
	return project, name, ok
}

// FindVersion returns a version and the environment that was meant by ref: for a
// tag or a hash, the one that the version was committed to.
func FindVersion(ctx context.Context, tx Tx, ref string) (*nixspace.Environment, *nixspace.Version, error) {
	r, err := history.ParseRef(ref)
	if err != nil {
		return nil, nil, err
	}
	env, id, named, err := findBase(ctx, tx, r.Base)
	if err != nil {
		return nil, nil, err
	}
	if r.At != nil {
		if !named {
			return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.80q: only an environment has been somewhere before", ref).
				WithHint("write an environment before the @")
		}
		if id, err = headAt(ctx, tx, env, *r.At); err != nil {
			return nil, nil, err
		}
	}
	for _, step := range r.Steps {
		if id, err = stepFrom(ctx, tx, ref, id, step); err != nil {
			return nil, nil, err
		}
	}
	v, err := OneVersion(ctx, tx, id)
	return env, v, err
}

// findBase finds what a reference begins with. It reports also whether the
// environment was named itself.
func findBase(ctx context.Context, tx Tx, base string) (env *nixspace.Environment, version nixspace.ID, named bool, err error) {
	if env, err = FindEnvironment(ctx, tx, base); err == nil {
		return env, env.Head, true, nil
	}
	if !NotFound(err) {
		return nil, "", false, err
	}
	unknown := err
	tag, err := FindTag(ctx, tx, base)
	switch {
	case err == nil:
		version = tag.VersionID
	case !NotFound(err):
		return nil, "", false, err
	case nixspace.ID(base).Valid():
		version = nixspace.ID(base)
	case HashPrefix.MatchString(base):
		if version, err = FindHash(ctx, tx, base); err != nil {
			return nil, "", false, err
		}
	default:
		return nil, "", false, unknown
	}
	v, err := OneVersion(ctx, tx, version)
	if err != nil {
		return nil, "", false, err
	}
	env, err = OneEnvironment(ctx, tx, v.EnvironmentID)
	return env, v.ID, false, err
}

// FindHash returns the version whose hash begins with prefix. It fails where there is
// none, and where there are several.
func FindHash(ctx context.Context, tx Tx, prefix string) (nixspace.ID, error) {
	found, err := tx.Versions().ByHash(ctx, prefix, MaxCandidates)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "there is no environment, tag or version %q", prefix).
			WithHint("`nixspace list` shows the environments, `nixspace log NAME` the versions of one")
	}
	if len(found) > 1 {
		var hashes []string
		for _, f := range found {
			hashes = append(hashes, f.VersionHash[:min(len(f.VersionHash), len(prefix)+6)])
		}
		return "", nixspace.Errorf(nixspace.KindInvalid, "version_ambiguous", "%q begins more than one version's hash", prefix).
			WithHint("write %s", ListOr(hashes)).WithDetail("candidates", hashes)
	}
	return found[0].ID, nil
}

// FindTag returns the tag of NAME or PROJECT/NAME.
func FindTag(ctx context.Context, tx Tx, ref string) (*nixspace.Tag, error) {
	project, name, ok := SplitName(ref)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name a tag", ref).
			WithHint("write NAME or PROJECT/NAME")
	}
	found, err := tx.Tags().Named(ctx, project, name)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 1:
		return &found[0], nil
	case 0:
		return nil, nixspace.Errorf(nixspace.KindNotFound, "tag_unknown", "there is no tag %q", ref).WithHint("`nixspace tag` lists them")
	}
	var refs []string
	for _, t := range found[:min(len(found), MaxCandidates)] {
		refs = append(refs, t.Ref())
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "tag_ambiguous", "%q names %d tags", ref, len(found)).
		WithHint("write %s", ListOr(refs)).WithDetail("candidates", refs)
}

// headAt returns the version that an environment was at.
func headAt(ctx context.Context, tx Tx, env *nixspace.Environment, at history.At) (nixspace.ID, error) {
	if at.Timed() {
		when := at.When.Time(time.Now()).UTC()
		m, err := tx.History().MoveAt(ctx, env.ID, when)
		if NotFound(err) {
			return "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "%s was not there yet on %s", env.Ref(), when.Format("2006-01-02 15:04 MST")).
				WithHint("it was made on %s", env.CreatedAt.Format("2006-01-02 15:04 MST"))
		}
		if err != nil {
			return "", err
		}
		return m.To, nil
	}
	moves, err := tx.History().Moves(ctx, env.ID, 0, at.Moves, 1)
	if err != nil {
		return "", err
	}
	if len(moves) == 0 {
		return "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "%s has not moved %d times", env.Ref(), at.Moves).
			WithHint("`nixspace reflog %s` shows where it was", env.Ref())
	}
	return moves[0].To, nil
}

func stepFrom(ctx context.Context, tx Tx, ref string, id nixspace.ID, step history.Step) (nixspace.ID, error) {
	if step.Parent == 1 {
		to, err := tx.History().FirstParent(ctx, id, step.Times)
		if NotFound(err) {
			return "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "%q goes back farther than there are versions", ref).
				WithHint("`nixspace log` shows how many there are")
		}
		return to, err
	}
	v, err := OneVersion(ctx, tx, id)
	if err != nil {
		return "", err
	}
	if len(v.Parents) < 2 {
		return "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "%q asks for a second parent, and version %s is no merge", ref, Short(v.VersionHash)).
			WithHint("`nixspace log --graph` shows the merges")
	}
	return FindHash(ctx, tx, v.Parents[1])
}

// SplitSession splits "env/1" and "project/env/1".
func SplitSession(ref string) (env string, number int, ok bool) {
	i := strings.LastIndexByte(ref, '/')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(ref[i+1:])
	if err != nil || n < 1 || n > 1<<30 || ref[i+1] == '+' {
		return "", 0, false
	}
	return ref[:i], n, true
}

// FindSession returns the session of ENVIRONMENT/NUMBER, PROJECT/ENVIRONMENT/NUMBER or
// an ID.
func FindSession(ctx context.Context, tx Tx, ref string) (*nixspace.Session, error) {
	if nixspace.ID(ref).Valid() {
		return tx.Sessions().ByID(ctx, nixspace.ID(ref))
	}
	name, number, ok := SplitSession(ref)
	if !ok {
		e := nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name a session", ref)
		return nil, e.WithHint("write ENVIRONMENT/NUMBER, as `nixspace list sessions` shows it")
	}
	env, err := FindEnvironment(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	found, err := tx.Sessions().List(ctx, nixspace.SessionFilter{Environment: env.ID, Number: number, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "session_unknown", "%s has no session %d", env.Ref(), number).
			WithHint("start one with `nixspace start %s`", env.Ref())
	}
	return &found[0], nil
}

// IsCode reports whether err carries a stable code.
func IsCode(err error, code string) bool { return errors.Is(err, &nixspace.Error{Code: code}) }
