package manifest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

// edits reads "set key value", "add key value" and "remove key" lines.
func edits(lines ...string) []Edit {
	var out []Edit
	for _, l := range lines {
		f := append(strings.SplitN(l, " ", 3), "", "")
		out = append(out, Edit{Op: nixspace.ChangeOp(f[0]), Key: f[1], Value: f[2]})
	}
	return out
}

func TestApply(t *testing.T) {
	const dotted = "packages.git = \"*\" # dotted\nservices.postgresql.port = 5433\npackages.postgresql = \"15\"\n"
	const inline = "packages = { git = \"*\", postgresql = '15' }\nservices = { postgresql = {} } # all\n"
	for _, c := range []struct {
		name, text string
		edits      []Edit
		want       string
	}{
		{"set a value", "[packages]\ngit = '2' # old\n", edits("set git 3"), "[packages]\ngit = \"3\" # old\n"},
		{"leave equal spelling", "[packages]\ngit = '2' # old\n", edits("set git 2"), "[packages]\ngit = '2' # old\n"},
		{"add to a table", "[packages]\ngit = \"*\" # vcs\n# end\n\n[env]\n", edits("add redis"), "[packages]\ngit = \"*\" # vcs\nredis = \"*\"\n# end\n\n[env]\n"},
		{"add to an empty table", "[packages]\n# none yet\n\n[env]\n", edits("add redis 8"), "[packages]\nredis = \"8\"\n# none yet\n\n[env]\n"},
		{"no line end", "[packages]\ngit = \"*\"", edits("add redis"), "[packages]\ngit = \"*\"\nredis = \"*\"\n"},
		{"new table", "schema = 1\n", edits("add env.A b"), "schema = 1\n\n[env]\nA = \"b\"\n"},
		{"empty file", "", edits("add env.A b", "add source catalog"), "source = \"catalog\"\n\n[env]\nA = \"b\"\n"},
		{"first key", "# My environment.\n# Mine.\n\n[env]\n", edits("set schema 1"), "# My environment.\n# Mine.\n\nschema = 1\n\n[env]\n"},
		{
			"new service", "[services.redis]\n\n# vars\n[env]\nA = \"\"\n", edits("add services.web.command node web.js", "add services.web.port 80"),
			"[services.redis]\n\n[services.web]\ncommand = \"node web.js\"\nport = 80\n\n# vars\n[env]\nA = \"\"\n",
		},
		{
			"settings", "[services.postgresql]\nport = 1\n", edits("set services.postgresql.settings.work_mem 4MB", "set services.postgresql.settings.fsync off", "set services.postgresql.settings.max_connections 10"),
			"[services.postgresql]\nport = 1\n\n[services.postgresql.settings]\nwork_mem = \"4MB\"\nfsync = \"off\"\nmax_connections = 10\n",
		},
		{
			"dotted setting", "[services.postgresql.settings]\nauto_explain.log = true\n", edits("set services.postgresql.settings.auto_explain.log false", "add services.postgresql.settings.auto_explain.format json"),
			"[services.postgresql.settings]\nauto_explain.log = false\n\"auto_explain.format\" = \"json\"\n",
		},
		{"a list", "[services.postgresql]\ndatabases = [ # mine\n  \"a\",\n]\n", edits("set services.postgresql.databases a,b"), "[services.postgresql]\ndatabases = [\"a\", \"b\"]\n"},
		{"quotes", "[env]\n", edits(`set env.A "x\ty"`, `set env.B say "hi"`, `set env.C 12`, `set env.D `), "[env]\nA = \"x\\ty\"\nB = \"say \\\"hi\\\"\"\nC = \"12\"\nD = \"\"\n"},
		{"quoted key", "[scripts]\n", edits(`set scripts."test:all" x`, `set scripts.'a.b' y`), "[scripts]\n\"test:all\" = \"x\"\n\"a.b\" = \"y\"\n"},
		{"dotted keys: set", dotted, edits("set git 2"), "packages.git = \"2\" # dotted\nservices.postgresql.port = 5433\npackages.postgresql = \"15\"\n"},
		{"dotted keys: add", dotted, edits("add redis"), dotted + "packages.redis = \"*\"\n"},
		{"dotted keys: add a table", dotted, edits("add services.postgresql.databases shop", "add services.redis"), "packages.git = \"*\" # dotted\nservices.postgresql.port = 5433\nservices.postgresql.databases = [\"shop\"]\npackages.postgresql = \"15\"\n\n[services.redis]\n"},
		{"dotted keys: remove", dotted, edits("remove packages.git"), "services.postgresql.port = 5433\npackages.postgresql = \"15\"\n"},
		{"dotted keys: the service stays", dotted, edits("remove services.postgresql.port"), "packages.git = \"*\" # dotted\npackages.postgresql = \"15\"\n\n[services.postgresql]\n"},
		{"dotted keys: remove a table", dotted, edits("remove services"), "packages.git = \"*\" # dotted\npackages.postgresql = \"15\"\n"},
		{"inline: set", inline, edits("set postgresql 13"), strings.Replace(inline, "'15'", `"13"`, 1)},
		{"inline: add", inline, edits("add redis", "add services.postgresql.settings.fsync false"), "packages = { git = \"*\", postgresql = '15', redis = \"*\" }\nservices = { postgresql = { settings.fsync = false } } # all\n"},
		{"inline: remove", inline, edits("remove git", "remove postgresql", "remove services.postgresql"), "packages = {}\nservices = {} # all\n"},
		{"inline: remove the last", inline, edits("remove postgresql"), strings.Replace(inline, ", postgresql = '15'", "", 1)},
		{"remove a line", "[packages]\n# versions\ngit = \"*\" # vcs\nredis = \"8\"\n", edits("remove git"), "[packages]\n# versions\nredis = \"8\"\n"},
		{"remove a table", "schema = 1\n\n[services.postgresql]\nport = 1 # p\n[services.postgresql.settings]\na = 1\n\n# vars\n[env]\n", edits("remove services.postgresql"), "schema = 1\n\n# vars\n[env]\n"},
		{"remove the last table", "schema = 1\n\n[env]\nA = \"b\"\n", edits("remove env"), "schema = 1\n"},
		{"lines of several", "[scripts]\ntest = '''\n[env]\n# no comment\n'''\n\n[env]\n", edits("add ports.web 3000", "set scripts.test x"), "[scripts]\ntest = \"x\"\n\n[env]\n\n[ports]\nweb = 3000\n"},
		{"CRLF", "[packages]\r\ngit = \"*\"\r\n\r\n[env]\r\nA = \"b\"\r\n", edits("add redis", "remove env.A", "add ports.web 1", "remove git"), "[packages]\r\nredis = \"*\"\r\n\r\n[env]\r\n\r\n[ports]\r\nweb = 1\r\n"},
		{"a comment at the end", "[env]\n# bye", edits("add redis"), "[env]\n# bye\n\n[packages]\nredis = \"*\"\n"},
		{"resources", "", edits("set resources.memory 1GiB", "set resources.cpus 2"), "[resources]\nmemory = \"1GiB\"\ncpus = 2\n"},
	} {
		got, err := Apply(c.text, c.edits)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestApplyErrors(t *testing.T) {
	var b strings.Builder
	for _, e := range []Edit{
		{"add", "git", "3"},
		{"remove", "gitt", ""},
		{"remove", "env.NOPE", ""},
		{"remove", "services.redis", ""},
		{"set", "enf.A", "x"},
		{"set", "env", "x"},
		{"set", "env.A.B", "x"},
		{"set", "source.x", "x"},
		{"set", "resources.ram", "x"},
		{"set", "services.postgresql.prt", "1"},
		{"set", "services.postgresql", "x"},
		{"set", "services.postgresql.a.b", "x"},
		{"set", "services.web.port", "80"},
		{"set", "services.postgresql.command", "x"},
		{"set", "git", "newest"},
		{"set", "git", "3\"\n[env]"},
		{"set", "ports.web", "80; x"},
		{"set", "ports.web", "80\nadmin = 81"},
		{"set", "resources.memory", "1"},
		{"set", "schema", "7"},
		{"set", "source", "elsewhere"},
		{"set", "env.A", "\xff"},
		{"set", "env.PATH", "/bin"},
		{"set", "", "x"},
		{"set", "a = 1 #", "x"},
		{"set", "a\nb", "x"},
		{"set", "env.A ", ""},
		{"set", "services.postgresql.databases", "a b"},
		{"set", "services.postgresql.settings.port", "1"},
		{"move", "git", "x"},
	} {
		got, err := Apply(shop, []Edit{e})
		if err == nil {
			if e.Key != "env.A " {
				t.Errorf("%v: no error; the text is now\n%s", e, got)
			}
			continue
		}
		writeError(t, &b, e.String(), err)
	}
	_, err := Apply("[nope]\n", edits("add git"))
	writeError(t, &b, "add to an invalid manifest", err)
	golden(t, "edit_errors.txt", b.String())
}

func TestFormat(t *testing.T) {
	text := parse(t, shop).Format()
	golden(t, "format.toml", text)
	if again := parse(t, text).Format(); again != text {
		t.Errorf("formatted again:\n%s", again)
	}
	empty := parse(t, "[services.redis]\n[services.postgresql]\n[ports]\nweb = 1\n")
	if diff := cmp.Diff(empty, parse(t, empty.Format()), equal); diff != "" {
		t.Errorf("services without entries (-want +got):\n%s", diff)
	}
}

// value is one that can stand at a path, as an edit gives it and as it is meant.
type value struct {
	edit string
	want any
}

// drawTarget draws a key that exists in every manifest's schema.
func drawTarget(t *rapid.T) (key string, path []string, kind valueKind) {
	name := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "name") }
	switch rapid.IntRange(0, 12).Draw(t, "table") {
	case 0, 1, 2:
		n := name("git", "nodejs", "postgresql_15", "go'", "a-b")
		return dotted([]string{n}), []string{"packages", n}, kindConstraint
	case 3:
		n := name("A", "B_2", "NODE_ENV")
		return "env." + n, []string{"env", n}, kindText
	case 4:
		n := name("test", "test:unit", "a.b")
		return `scripts."` + n + `"`, []string{"scripts", n}, kindText
	case 5:
		n := name("cpus")
		return "resources." + n, []string{"resources", n}, kindNumber
	case 6:
		n := name("work_mem", "fsync", "auto_explain.log", "auto_explain.format")
		return "services.postgresql.settings." + n, []string{"services", "postgresql", "settings", n}, kindSetting
	case 7:
		return "services.postgresql.databases", []string{"services", "postgresql", "databases"}, kindList
	case 8:
		return "services.web.env.X", []string{"services", "web", "env", "X"}, kindText
	case 9:
		return "services.web.ports", []string{"services", "web", "ports"}, kindNumbers
	case 11:
		return "network.egress", []string{"network", "egress"}, kindEgress
	case 10:
		return "services.web.restart-limit", []string{"services", "web", "restart-limit"}, kindNumber
	default:
		return "services.redis.port", []string{"services", "redis", "port"}, kindNumber
	}
}

func drawValue(t *rapid.T, kind valueKind) value {
	text := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != 0xfffd && !(r >= 0xd800 && r < 0xe000) }), 1, 10, -1)
	switch kind {
	case kindConstraint:
		c := rapid.SampledFrom([]string{"*", "15", "15.18", ">=20 <23", "latest"}).Draw(t, "constraint")
		return value{c, c}
	case kindText:
		s := text.Filter(func(s string) bool { return strings.TrimSpace(s) != "" }).Draw(t, "text")
		return value{tomlString(s), s}
	case kindNumber:
		n := rapid.Int64Range(1, 64).Draw(t, "number")
		return value{fmt.Sprint(n), n}
	case kindEgress:
		return rapid.SampledFrom([]value{
			{"full", "full"},
			{"none", "none"},
			{`"none"`, "none"},
			{"a.example", []string{"a.example"}},
			{"b.example:80, *.a.example", []string{"*.a.example", "b.example:80"}},
		}).Draw(t, "egress")
	case kindNumbers:
		return value{"81, 82", []int{81, 82}}
	case kindList:
		return value{"a, b", []string{"a", "b"}}
	}
	switch rapid.IntRange(0, 3).Draw(t, "type") {
	case 0:
		return value{"true", true}
	case 1:
		return value{"-7", int64(-7)}
	case 2:
		return value{"1.5", 1.5}
	}
	return value{"4MB", "4MB"}
}

// drawText writes a manifest in one of the many ways of TOML.
func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{
		"",
		shop,
		strings.ReplaceAll(shop, "\n", "\r\n"),
		strings.TrimSuffix(shop, "\n"),
		parse(t, shop).Format(),
		"# only a comment",
		"packages.git = '*'\nservices.postgresql.settings.work_mem = '1MB'\nservices.redis.port = 1\nenv.A = '''\nx'''\n",
		"packages = { git = \"*\", nodejs = '22' }\nenv = {}\nservices = { postgresql = { settings = { fsync = true } }, web = { command = 'x', env = { X = 'y' } } }\n",
		"[services]\npostgresql.settings.auto_explain.log = true\nredis = { port = 7 }\n[services.web]\ncommand = \"x\"\n# the end\n[services.web.env]\n",
		"[services.postgresql.settings.auto_explain]\nlog = true # l\n\n# above\n[services.postgresql]\ndatabases = [\n # one\n 'x', ]\n[ packages ]\n  git = \"*\"\n",
		"services.postgresql = { databases = ['a',], }\n[services.web]\ncommand = \"x\"\nenv.X = \"1\"\n[resources]\n",
	}).Draw(t, "text")
}

// meaning is what a manifest says, by path; an empty service too.
func meaning(m *Manifest) map[string]any {
	out := map[string]any{}
	for _, l := range leaves(m) {
		out[dotted(l.path)] = l.value
	}
	for name := range m.Services {
		out["services."+name] = "a service"
	}
	return out
}

// TestApplyProperty compares edits of the text with edits of its meaning.
func TestApplyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		// A service named web must have a command.
		if !strings.Contains(text, "web") || strings.Contains(text, "web = 3000") {
			var err error
			if text, err = Apply(text, edits("set services.web.command x")); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			key, path, kind := drawTarget(t)
			e := Edit{Op: rapid.SampledFrom([]nixspace.ChangeOp{"add", "set", "remove"}).Draw(t, "op"), Key: key}
			want := meaning(parse(t, text))
			_, present := want[dotted(path)]
			var wantCode string
			if e.Op == nixspace.ChangeRemove {
				delete(want, dotted(path))
				if !present {
					wantCode = codeKeyUnknown
				}
			} else {
				v := drawValue(t, kind)
				e.Value = v.edit
				want[dotted(path)] = v.want
				if path[0] == "services" {
					want["services."+path[1]] = "a service"
				}
				if present && e.Op == nixspace.ChangeAdd {
					wantCode = codeKeyExists
				}
			}
			got, err := Apply(text, []Edit{e})
			if wantCode != "" {
				if nixspace.ErrorCode(err) != wantCode {
					t.Fatalf("%v in\n%s\nerror %v, want %s", e, text, err, wantCode)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%v in\n%s\n%v", e, text, err)
			}
			if diff := cmp.Diff(want, meaning(parse(t, got))); diff != "" {
				t.Fatalf("%v in\n%s\ngave\n%s\n(-want +got):\n%s", e, text, got, diff)
			}
			// Comments stay, but one on the line of what was removed.
			if lost := lostComments(text, got); len(lost) > 1 || len(lost) == 1 && e.Op != nixspace.ChangeRemove && kind != kindList {
				t.Fatalf("%v in\n%s\ngave\n%s\nwithout %q", e, text, got, lost)
			}
			text = got
		}
	})
}

func lostComments(before, after string) []string {
	var lost []string
	for line := range strings.SplitSeq(before, "\n") {
		if _, comment, ok := strings.Cut(strings.TrimSuffix(line, "\r"), "# "); ok && !slices.Contains(lost, comment) && !strings.Contains(after, "# "+comment) {
			lost = append(lost, comment)
		}
	}
	return lost
}

func TestFormatProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		for range rapid.IntRange(0, 10).Draw(t, "edits") {
			key, _, kind := drawTarget(t)
			if got, err := Apply(text, []Edit{{nixspace.ChangeSet, key, drawValue(t, kind).edit}}); err == nil {
				text = got
			}
		}
		m := parse(t, text)
		again := parse(t, m.Format())
		if diff := cmp.Diff(m, again, equal); diff != "" {
			t.Fatalf("formatted as\n%s\n(-want +got):\n%s", m.Format(), diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{shop, "a.b = [1, {x = 2}]\n", "[[x]]\n", "x = \"\"\"\n\"\"\"", "\r\n[env]\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(FileName, data)
		if err != nil {
			if code := nixspace.ErrorCode(err); code != codeInvalid {
				t.Fatalf("code %s: %v", code, err)
			}
			return
		}
		text := m.Format()
		again, err := Parse(FileName, []byte(text))
		if err != nil {
			if len(text) > MaxSize {
				return // quoting may make it longer than allowed
			}
			t.Fatalf("formatted as\n%s\n%v", text, err)
		}
		if diff := cmp.Diff(m, again, equal); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzConstraint(f *testing.F) {
	for _, s := range []string{"15", "15.18", "*", ">=20 <23", "^1.2 || ~3", "1.x", "latest", "1 - 2"} {
		f.Add(s, "15.18")
	}
	f.Fuzz(func(t *testing.T, s, version string) {
		c, err := ParseConstraint(s)
		if err != nil {
			return
		}
		allowed := c.Allows(version)
		again, err := ParseConstraint(c.String())
		if err != nil || again != c || again.Allows(version) != allowed {
			t.Fatalf("%q is %q, which reads back as %q, %v", s, c, again, err)
		}
	})
}

func FuzzApply(f *testing.F) {
	f.Add(shop, "set", "env.A", "x")
	f.Add("packages = { }", "add", "git", "*")
	f.Add("services.a.command = 'x'", "remove", "services.a", "")
	f.Fuzz(func(t *testing.T, text, op, key, val string) {
		before, err := Parse(FileName, []byte(text))
		if err != nil {
			return
		}
		got, err := Apply(text, []Edit{{nixspace.ChangeOp(op), key, val}})
		if err != nil {
			if nixspace.ErrorKind(err) != nixspace.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		after, err := Parse(FileName, []byte(got))
		if err != nil {
			t.Fatal(err)
		}
		// One edit changes one value, or one table when it is removed.
		was, is := meaning(before), meaning(after)
		changed := 0
		for k, v := range is {
			if w, ok := was[k]; !ok || !cmp.Equal(v, w) {
				changed++
			}
		}
		if changed > 2 { // a value, and the service that it makes
			t.Fatalf("%s %s %s in\n%s\ngave\n%s", op, key, val, text, got)
		}
	})
}
