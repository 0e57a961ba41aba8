package experiments

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/manifest"
)

// upgrade is a newer version of a package that an environment has.
type upgrade struct {
	key, family string
	from, to    string
	value       string // the constraint that selects it
}

// newer returns the upgrades that a package source offers: of each package, the
// newest version of every newer line (its first number), and of its own line.
func newer(packages []manifest.Package, offers []nixspace.Package, only []string) []upgrade {
	var out []upgrade
	for _, p := range packages {
		if len(only) > 0 && !slices.Contains(only, p.Key) && !slices.Contains(only, p.Family) {
			continue
		}
		lines := map[string]string{} // line → its newest version
		for _, o := range offers {
			if o.Family != p.Family || constraint.Compare(o.Version, p.Version) <= 0 {
				continue
			}
			l, _, _ := strings.Cut(o.Version, ".")
			if lines[l] == "" || constraint.Compare(o.Version, lines[l]) > 0 {
				lines[l] = o.Version
			}
		}
		var found []upgrade
		for l, v := range lines {
			u := upgrade{key: p.Key, family: p.Family, from: p.Version, to: v, value: l}
			if own, _, _ := strings.Cut(p.Version, "."); own == l {
				u.value = v
			}
			found = append(found, u)
		}
		slices.SortFunc(found, func(a, b upgrade) int { return constraint.Compare(a.to, b.to) })
		out = append(out, found...)
	}
	return out
}

// upgrades makes a version with each upgrade of an environment.
func (u *UseCases) upgrades(ctx context.Context, tx records.Tx, in Start, spec *nixspace.ExperimentSpec) (*nixspace.Version, error) {
	if len(in.Refs) != 1 {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "subject_missing", "name the environment whose packages are to be upgraded")
	}
	_, base, err := records.FindVersion(ctx, tx, in.Refs[0])
	if err != nil {
		return nil, err
	}
	resolved, err := records.Restore(base)
	if err != nil {
		return nil, err
	}
	for _, name := range in.Packages {
		if !slices.ContainsFunc(resolved.Packages, func(p manifest.Package) bool { return p.Key == name || p.Family == name }) {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "package_unknown", "%s has no package %q", in.Refs[0], name)
		}
	}
	offers, err := u.cfg.Packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	spec.Subjects = []nixspace.ExperimentSubject{{Label: in.Refs[0], VersionID: base.ID, Hash: base.VersionHash}}
	for _, up := range newer(resolved.Packages, offers, in.Packages) {
		edits := []environments.Edit{{Op: nixspace.ChangeSet, Key: "packages." + up.key, Value: up.value}}
		if up.key != up.family {
			edits = []environments.Edit{
				{Op: nixspace.ChangeRemove, Key: "packages." + up.key}, {Op: nixspace.ChangeSet, Key: "packages." + up.family, Value: up.value},
			}
		}
		name := fmt.Sprintf("%s %s → %s", up.family, up.from, up.to)
		v, err := u.cfg.Environments.Candidate(ctx, environments.Candidate{Base: base, Edits: edits, Message: "Try " + name})
		if err != nil {
			return nil, err
		}
		if v.ManifestHash == base.ManifestHash || len(spec.Subjects) >= maxSubjects {
			continue
		}
		spec.Subjects = append(spec.Subjects, nixspace.ExperimentSubject{
			Label: name, VersionID: v.ID, Hash: v.VersionHash,
			Values: map[string]string{"package": up.family, "from": up.from, "to": up.to, "set": up.key + "=" + up.value},
		})
	}
	if len(spec.Subjects) == 1 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "upgrades_none", "there is nothing newer than what %s has", in.Refs[0])
	}
	return base, nil
}
