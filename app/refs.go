package app

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// References. An environment is named "env" where that name is unique,
// "project/env" always, or by its UUID; a version by its environment (the head),
// by a unique prefix, of 6 digits at least, of its version hash, or by its UUID;
// a session by "env/1", "project/env/1" or its UUID.

// maxCandidates is how many matches an ambiguity names.
const maxCandidates = 6

var hashPrefix = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

func notFound(err error) bool { return nixspace.ErrorKind(err) == nixspace.KindNotFound }

func findProject(ctx context.Context, tx Tx, ref string) (*nixspace.Project, error) {
	if nixspace.ID(ref).Valid() {
		return tx.Projects().ByID(ctx, nixspace.ID(ref))
	}
	p, err := tx.Projects().BySlug(ctx, ref)
	if !notFound(err) {
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
	return nil, withSuggestions(e, nearest(ref, slugs))
}

func withSuggestions(e *nixspace.Error, names []string) *nixspace.Error {
	if len(names) == 0 {
		return e.WithHint("`nixspace list` shows what there is")
	}
	return e.WithHint("did you mean %s?", listOr(names)).WithDetail("suggestions", names)
}

func oneEnvironment(ctx context.Context, tx Tx, id nixspace.ID) (*nixspace.Environment, error) {
	found, err := tx.Environments().ByIDs(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "there is no environment %s", id)
	}
	return &found[0], nil
}

func oneVersion(ctx context.Context, tx Tx, id nixspace.ID) (*nixspace.Version, error) {
	found, err := tx.Versions().ByIDs(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "there is no version %s", id)
	}
	return &found[0], nil
}

func findEnvironment(ctx context.Context, tx Tx, ref string) (*nixspace.Environment, error) {
	if nixspace.ID(ref).Valid() {
		return oneEnvironment(ctx, tx, nixspace.ID(ref))
	}
	project, name, qualified := strings.Cut(ref, "/")
	if !qualified {
		project, name = "", ref
	}
	if name == "" || qualified && project == "" || strings.Contains(name, "/") || len(ref) > 200 {
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
	for _, e := range found[:min(len(found), maxCandidates)] {
		refs = append(refs, e.Ref())
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "environment_ambiguous", "%q names %d environments", ref, len(found)).
		WithHint("write %s", listOr(refs)).WithDetail("candidates", refs)
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
	return withSuggestions(e, nearest(ref, all))
}

// findVersion returns a version and the environment that was meant by ref: for a
// hash, the one that it was committed to.
func findVersion(ctx context.Context, tx Tx, ref string) (*nixspace.Environment, *nixspace.Version, error) {
	env, err := findEnvironment(ctx, tx, ref)
	if err == nil {
		v, err := oneVersion(ctx, tx, env.Head)
		return env, v, err
	}
	if !notFound(err) {
		return nil, nil, err
	}
	var v *nixspace.Version
	switch {
	case nixspace.ID(ref).Valid():
		if v, err = oneVersion(ctx, tx, nixspace.ID(ref)); err != nil {
			return nil, nil, err
		}
	case hashPrefix.MatchString(ref):
		found, err := tx.Versions().ByHash(ctx, ref, maxCandidates)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			return nil, nil, nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "there is no environment or version %q", ref).
				WithHint("`nixspace list` shows the environments, `nixspace show NAME` the versions of one")
		}
		if len(found) > 1 {
			var hashes []string
			for _, f := range found {
				hashes = append(hashes, f.VersionHash[:min(len(f.VersionHash), len(ref)+6)])
			}
			return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "version_ambiguous", "%q begins more than one version's hash", ref).
				WithHint("write %s", listOr(hashes)).WithDetail("candidates", hashes)
		}
		v = &found[0]
	default:
		return nil, nil, err
	}
	env, err = oneEnvironment(ctx, tx, v.EnvironmentID)
	return env, v, err
}

// splitSession splits "env/1" and "project/env/1".
func splitSession(ref string) (env string, number int, ok bool) {
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

func findSession(ctx context.Context, tx Tx, ref string) (*nixspace.Session, error) {
	if nixspace.ID(ref).Valid() {
		return tx.Sessions().ByID(ctx, nixspace.ID(ref))
	}
	name, number, ok := splitSession(ref)
	if !ok {
		e := nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name a session", ref)
		return nil, e.WithHint("write ENVIRONMENT/NUMBER, as `nixspace list sessions` shows it")
	}
	env, err := findEnvironment(ctx, tx, name)
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

// isCode reports whether err carries a stable code.
func isCode(err error, code string) bool { return errors.Is(err, &nixspace.Error{Code: code}) }
