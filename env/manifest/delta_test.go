package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestEdits(t *testing.T) {
	a := parse(t, shop)
	text, err := Apply(shop, edits("set postgresql 14", "remove git", "add services.redis", "add redis 8", "set env.A b", "remove services.postgresql.settings"))
	if err != nil {
		t.Fatal(err)
	}
	got := Edits(a, parse(t, text))
	want := []Edit{
		{Op: nixspace.ChangeRemove, Key: "packages.git"},
		{Op: nixspace.ChangeRemove, Key: `services.postgresql.settings."auto_explain.log_min_duration"`},
		{Op: nixspace.ChangeRemove, Key: "services.postgresql.settings.max_connections"},
		{Op: nixspace.ChangeSet, Key: "env.A", Value: `"b"`},
		{Op: nixspace.ChangeSet, Key: "packages.postgresql", Value: `"14"`},
		{Op: nixspace.ChangeSet, Key: "packages.redis", Value: `"8"`},
		{Op: nixspace.ChangeSet, Key: "services.redis"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}

// drawParts changes the parts of a manifest that [drawEdited] does not.
func drawParts(t *rapid.T, text string) string {
	for range rapid.IntRange(0, 6).Draw(t, "parts") {
		e := rapid.SampledFrom([]Edit{
			{nixspace.ChangeSet, "source", "nixpkgs@" + strings.Repeat("0123456789", 4)},
			{nixspace.ChangeSet, "source", "catalog"},
			{nixspace.ChangeRemove, "source", ""},
			{nixspace.ChangeSet, "ports.web", "3000"},
			{nixspace.ChangeSet, "ports.web", "3001"},
			{nixspace.ChangeSet, "ports.api", "3000"},
			{nixspace.ChangeSet, "ports.api", "3001"},
			{nixspace.ChangeRemove, "ports.web", ""},
			{nixspace.ChangeSet, "resources.memory", "1GiB"},
			{nixspace.ChangeSet, "resources.memory", "768MiB"},
			{nixspace.ChangeSet, "resources.disk", "8GiB"},
			{nixspace.ChangeRemove, "resources.disk", ""},
			{nixspace.ChangeRemove, "resources", ""},
			{nixspace.ChangeSet, "services.web.command", "node server.js"},
			{nixspace.ChangeSet, "services.web.directory", "app"},
			{nixspace.ChangeSet, "services.web.ready", "curl localhost"},
			{nixspace.ChangeSet, "services.web.port", "8080"},
			{nixspace.ChangeSet, "services.web.ports", "8081, 8082"},
			{nixspace.ChangeSet, "services.web.ports", "[8082]"},
			{nixspace.ChangeSet, "services.web.depends-on", "postgresql"},
			{nixspace.ChangeSet, "services.web.depends-on", `["redis"]`},
			{nixspace.ChangeSet, "services.web.ready-http", "/up"},
			{nixspace.ChangeSet, "services.web.ready-timeout", "30s"},
			{nixspace.ChangeSet, "services.web.restart", "on-failure"},
			{nixspace.ChangeSet, "network.egress", "full"},
			{nixspace.ChangeSet, "network.egress", "none"},
			{nixspace.ChangeSet, "network.egress", "a.example, b.example"},
			{nixspace.ChangeRemove, "network", ""},
			{nixspace.ChangeSet, "services.web.restart-limit", "3"},
			{nixspace.ChangeRemove, "services.web.restart", ""},
			{nixspace.ChangeRemove, "services.web.port", ""},
			{nixspace.ChangeRemove, "services.postgresql.settings", ""},
			{nixspace.ChangeRemove, "services", ""},
			{nixspace.ChangeRemove, "env", ""},
		}).Draw(t, "part")
		if got, err := Apply(text, []Edit{e}); err == nil {
			text = got
		}
	}
	return text
}

// TestEditsProperty: applying the difference of a and b to a gives b, whatever part
// of the manifest differs.
func TestEditsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawParts(t, drawText(t))
		b := drawParts(t, drawEdited(t, a))
		if rapid.Bool().Draw(t, "unrelated") {
			b = drawParts(t, drawEdited(t, drawText(t)))
		}
		from, to := parse(t, a), parse(t, b)
		es := Edits(from, to)
		got, err := Apply(a, es)
		if err != nil {
			t.Fatalf("apply %v to\n%s\n%v", es, a, err)
		}
		if diff := cmp.Diff(meaning(to), meaning(parse(t, got))); diff != "" {
			t.Errorf("%v\nin\n%s\ngives (-want +got)\n%s", es, a, diff)
		}
		if es := Edits(to, parse(t, got)); len(es) != 0 {
			t.Errorf("there is still a difference: %v", es)
		}
		if es := Edits(from, from); len(es) != 0 {
			t.Errorf("a manifest differs from itself: %v", es)
		}
	})
}

// TestDiffIsComplete: the difference for people is empty exactly where the two are
// the same environment.
func TestDiffIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawParts(t, drawText(t))
		b := drawParts(t, drawEdited(t, a))
		x := &Resolved{Manifest: parse(t, a), System: "x86_64-linux", Base: "/nix/store/b"}
		y := &Resolved{Manifest: parse(t, b), System: "x86_64-linux", Base: "/nix/store/b"}
		x.Packages, y.Packages = made(x.Manifest), made(y.Manifest)
		d := Diff(x, y)
		if x.Hash() != y.Hash() && len(d) == 0 {
			t.Errorf("no difference is shown between\n%s\nand\n%s", a, b)
		}
		if len(Edits(x.Manifest, y.Manifest)) == 0 && len(d) != 0 {
			t.Errorf("a difference is shown between equals: %v", d)
		}
		if back := Diff(y, x); len(back) != len(d) {
			t.Errorf("there %v\nand back %v", d, back)
		}
	})
}

// made resolves packages without a source.
func made(m *Manifest) []Package {
	var out []Package
	for _, key := range sorted(m.Packages) {
		c := m.Packages[key]
		out = append(out, Package{Key: key, Constraint: c, Attr: key, Family: key, Version: c.String(), OutPath: "/nix/store/" + key + c.String()})
	}
	return out
}
