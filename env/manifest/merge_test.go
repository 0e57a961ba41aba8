package manifest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestMerge(t *testing.T) {
	base := shop
	ours, err := Apply(base, edits("set postgresql 14", "set env.OURS 1", "remove scripts.test", "set resources.memory 1GiB"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Apply(base, edits("set nodejs 24", "add redis 8", "add services.redis", "set services.postgresql.settings.work_mem 8MB",
		"remove git", "set resources.memory 1GiB"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Merge(base, ours, theirs)
	if err != nil || len(m.Conflicts) != 0 {
		t.Fatalf("conflicts %v, error %v", m.Conflicts, err)
	}
	golden(t, "merged.toml", m.Text)

	theirs, err = Apply(theirs, edits("set postgresql 17", "set scripts.test other", "set env.OURS 2"))
	if err != nil {
		t.Fatal(err)
	}
	m, err = Merge(base, ours, theirs)
	want := []Conflict{
		{Kind: ConflictValue, Path: "env.OURS", Ours: "1", Theirs: "2"},
		{Kind: ConflictValue, Path: "packages.postgresql", Base: "15", Ours: "14", Theirs: "17"},
		{Kind: ConflictRemoved, Path: "scripts.test", Base: "node --test", Theirs: "other"},
	}
	if diff := cmp.Diff(want, m.Conflicts); err != nil || diff != "" {
		t.Errorf("conflicts, error %v (-want +got):\n%s", err, diff)
	}
	got := parse(t, m.Text)
	if got.Packages["postgresql"].String() != "14" || got.Packages["redis"].String() != "8" || got.Scripts["test"] != "" {
		t.Errorf("merged with conflicts:\n%s", m.Text)
	}
}

func TestMergeServices(t *testing.T) {
	const base = "[services.redis]\n[services.web]\ncommand = \"x\"\n"
	changed := strings.Replace(base, "[services.redis]\n", "[services.redis]\nport = 7\n", 1)
	const removed = "[services.web]\ncommand = \"x\"\n"
	for _, c := range []struct {
		name, ours, theirs string
		conflicts          []Conflict
		redis              bool
	}{
		{"they remove it", base, removed, nil, false},
		{"we remove it", removed, base, nil, false},
		{"both remove it", removed, removed, nil, false},
		{"they remove what we changed", changed, removed, []Conflict{{Kind: ConflictRemoved, Path: "services.redis", Base: "present", Ours: "changed"}}, true},
		{"we remove what they changed", removed, changed, []Conflict{{Kind: ConflictRemoved, Path: "services.redis", Base: "present", Theirs: "changed"}}, false},
		{"they change it", base, changed, nil, true},
	} {
		m, err := Merge(base, c.ours, c.theirs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.conflicts, m.Conflicts); diff != "" {
			t.Errorf("%s: conflicts (-want +got):\n%s", c.name, diff)
		}
		if _, ok := parse(t, m.Text).Services["redis"]; ok != c.redis {
			t.Errorf("%s:\n%s", c.name, m.Text)
		}
	}
	// Each is valid; together they are not.
	m, err := Merge("", "[ports]\na = 3000\n", "[ports]\nb = 3000\n")
	if err != nil || len(m.Conflicts) != 1 || m.Conflicts[0].Kind != ConflictInvalid || !strings.Contains(m.Conflicts[0].Reason, "3000") {
		t.Errorf("one port twice: %+v, %v", m, err)
	}
	if _, err := Merge("", "[nope]", ""); nixspace.ErrorCode(err) != codeInvalid {
		t.Errorf("an invalid side: %v", err)
	}
}

// drawEdited changes a manifest at random.
func drawEdited(t *rapid.T, text string) string {
	for range rapid.IntRange(0, 5).Draw(t, "edits") {
		key, _, kind := drawTarget(t)
		e := Edit{Op: nixspace.ChangeSet, Key: key}
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0, 1:
			e.Op = nixspace.ChangeRemove
		case 2:
			e.Op, e.Key = nixspace.ChangeRemove, rapid.SampledFrom([]string{"services.redis", "services.web", "services.postgresql"}).Draw(t, "service")
		case 3:
			e.Op, e.Key = nixspace.ChangeAdd, rapid.SampledFrom([]string{"services.redis", "services.postgresql"}).Draw(t, "service")
		default:
			e.Value = drawValue(t, kind).edit
		}
		if got, err := Apply(text, []Edit{e}); err == nil {
			text = got
		}
	}
	return text
}

func TestMergeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawText(t)
		ours, theirs := drawEdited(t, base), drawEdited(t, base)
		m, err := Merge(base, ours, theirs)
		if err != nil {
			t.Fatal(err)
		}
		swapped, err := Merge(base, theirs, ours)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range swapped.Conflicts {
			swapped.Conflicts[i].Ours, swapped.Conflicts[i].Theirs = c.Theirs, c.Ours
		}
		if diff := cmp.Diff(m.Conflicts, swapped.Conflicts); diff != "" {
			t.Fatalf("conflicts the other way round (-one +other):\n%s", diff)
		}
		got := meaning(parse(t, m.Text))
		if len(m.Conflicts) == 0 {
			if diff := cmp.Diff(got, meaning(parse(t, swapped.Text))); diff != "" {
				t.Fatalf("merged the other way round (-one +other):\n%s", diff)
			}
		}
		// Every change of either side is in the result, or among the conflicts.
		b := meaning(parse(t, base))
		for name, side := range map[string]map[string]any{"ours": meaning(parse(t, ours)), "theirs": meaning(parse(t, theirs))} {
			keys := map[string]bool{}
			for k := range b {
				keys[k] = true
			}
			for k := range side {
				keys[k] = true
			}
			for k := range keys {
				if reflect.DeepEqual(b[k], side[k]) || reflect.DeepEqual(got[k], side[k]) {
					continue
				}
				if !slices.ContainsFunc(m.Conflicts, func(c Conflict) bool {
					return c.Kind == ConflictInvalid || k == c.Path || strings.HasPrefix(k, c.Path+".")
				}) {
					t.Fatalf("%s changed %s from %v to %v; merged it is %v, without a conflict:\n%s", name, k, b[k], side[k], got[k], m.Text)
				}
			}
		}
		// Merging what did not change changes nothing.
		if same, err := Merge(base, ours, base); err != nil || same.Text != ours || len(same.Conflicts) != 0 {
			t.Fatalf("merged with the base: %+v, %v", same, err)
		}
	})
}

func TestMergeDecisions(t *testing.T) {
	const base = "[packages]\npostgresql = \"15\"\nnodejs = \"22\"\n[env]\nA = \"1\"\n[services.redis]\nport = 7\n"
	ours := strings.NewReplacer("15", "14", "A = \"1\"\n", "", "port = 7", "port = 8").Replace(base)
	theirs := strings.NewReplacer("15", "13", "A = \"1\"", "A = \"2\"", "[services.redis]\nport = 7\n", "").Replace(base)
	for _, c := range []struct {
		name      string
		opts      MergeOptions
		pg, a     string
		redis     bool
		conflicts int
	}{
		{"nothing decided", MergeOptions{}, "14", "", true, 3},
		{"ours", MergeOptions{Prefer: Ours}, "14", "", true, 0},
		{"theirs", MergeOptions{Prefer: Theirs}, "13", "2", false, 0},
		{"one by one", MergeOptions{Takes: []Take{
			{Path: "postgresql", Side: Value, Value: "16"}, {Path: "env.A", Side: Theirs}, {Path: "services.redis", Side: Ours},
		}}, "16", "2", true, 0},
		{"a take wins over the side", MergeOptions{Prefer: Theirs, Takes: []Take{{Path: "packages.postgresql", Side: Ours}}}, "14", "2", false, 0},
		{"nothing at all", MergeOptions{Prefer: Ours, Takes: []Take{{Path: "env.A", Side: Value}}}, "14", "", true, 0},
		{"nothing is sure", MergeOptions{Unsure: []string{"nodejs", "packages"}}, "14", "", true, 3},
	} {
		m, err := MergeWith(base, ours, theirs, c.opts)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := parse(t, m.Text)
		_, redis := got.Services["redis"]
		if got.Packages["postgresql"].String() != c.pg || got.Env["A"] != c.a || redis != c.redis || len(m.Conflicts) != c.conflicts {
			t.Errorf("%s: conflicts %v\n%s", c.name, m.Conflicts, m.Text)
		}
	}
	// The other way round a service that they kept comes back whole.
	m, err := MergeWith(base, theirs, ours, MergeOptions{Prefer: Theirs})
	if err != nil || parse(t, m.Text).Services["redis"].Port != 8 {
		t.Errorf("got %v, %v", m, err)
	}
	// One port twice: a value for one of them resolves it.
	m, err = MergeWith("", "[ports]\na = 3000\n", "[ports]\nb = 3000\n", MergeOptions{Takes: []Take{{Path: "ports.b", Side: Value, Value: "3001"}}})
	if err != nil || len(m.Conflicts) != 0 || parse(t, m.Text).Ports["b"] != 3001 {
		t.Errorf("got %v, %v", m, err)
	}
	for _, bad := range []Take{
		{Path: "env.NONE", Side: Ours}, {Path: "a b", Side: Ours}, {Path: "services.redis", Side: Value, Value: "1"}, {Path: "", Side: Ours},
	} {
		if _, err := MergeWith(base, ours, theirs, MergeOptions{Takes: []Take{bad}}); nixspace.ErrorCode(err) != "resolution_invalid" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	twice := []Take{{Path: "postgresql", Side: Ours}, {Path: "packages.postgresql", Side: Theirs}}
	if _, err := MergeWith(base, ours, theirs, MergeOptions{Takes: twice}); nixspace.ErrorCode(err) != "resolution_invalid" {
		t.Errorf("twice: %v", err)
	}
}

// TestMergeDecisionsProperty decides every conflict at random; what was decided
// is what comes out, and nothing else differs from the merge without decisions.
func TestMergeDecisionsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawText(t)
		ours, theirs := drawEdited(t, base), drawEdited(t, base)
		plain, err := Merge(base, ours, theirs)
		if err != nil {
			t.Fatal(err)
		}
		var takes []Take
		for _, c := range plain.Conflicts {
			if c.Kind == ConflictInvalid {
				return
			}
			takes = append(takes, Take{Path: c.Path, Side: rapid.SampledFrom([]Side{Ours, Theirs}).Draw(t, "side")})
		}
		m, err := MergeWith(base, ours, theirs, MergeOptions{Takes: takes})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Conflicts) > 0 {
			if m.Conflicts[0].Kind != ConflictInvalid {
				t.Fatalf("decided, and still %v", m.Conflicts)
			}
			return
		}
		got, o, th := meaning(parse(t, m.Text)), meaning(parse(t, ours)), meaning(parse(t, theirs))
		before := meaning(parse(t, plain.Text))
		keys := map[string]bool{}
		for _, side := range []map[string]any{got, o, th, before} {
			for k := range side {
				keys[k] = true
			}
		}
		for k := range keys {
			want := before[k]
			for _, take := range takes {
				if k == take.Path || strings.HasPrefix(k, take.Path+".") {
					want = o[k]
					if take.Side == Theirs {
						want = th[k]
					}
				}
			}
			if !reflect.DeepEqual(got[k], want) {
				t.Fatalf("%s is %v, want %v; takes %v\n%s", k, got[k], want, takes, m.Text)
			}
		}
	})
}

// Where base is sure of nothing, the two sides are the same or conflict.
func TestMergeUnsureProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawText(t)
		ours, theirs := drawEdited(t, base), drawEdited(t, base)
		m, err := MergeWith(base, ours, theirs, MergeOptions{Unsure: []string{""}})
		if err != nil {
			t.Fatal(err)
		}
		if same := cmp.Equal(meaning(parse(t, ours)), meaning(parse(t, theirs))); same != (len(m.Conflicts) == 0) || m.Text != ours {
			t.Fatalf("equal %t, conflicts %v", same, m.Conflicts)
		}
	})
}
