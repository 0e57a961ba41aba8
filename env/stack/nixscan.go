package stack

import (
	"regexp"
	"strings"
)

// binding is "path = value;" in a Nix file, with the words of its value. Nothing is
// evaluated: what is written as a literal is found, and the rest is not.
type binding struct {
	path  string
	line  int
	words []nixWord
}

type nixWord struct {
	text   string
	quoted bool
	line   int
}

const maxNixWords = 50_000

// bindings reads a Nix file as far as one can without evaluating it: attribute sets
// in each other, and the words in their values.
func bindings(data []byte) []binding {
	words := nixWords(string(data))
	var out []binding
	var prefix []string // of the sets that are open; "" for one that is no binding's
	open := -1          // the binding whose value is being read
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case !w.quoted && w.text == "{":
			name := ""
			if open >= 0 && i >= 1 && (words[i-1].text == "=" || isNixOpener(words[i-1])) {
				name = out[open].path
			}
			if len(prefix) > maxNixDepth {
				return out
			}
			prefix, open = append(prefix, name), -1
		case !w.quoted && w.text == "}":
			if len(prefix) > 0 {
				prefix = prefix[:len(prefix)-1]
			}
			open = -1
		case !w.quoted && w.text == ";":
			// "with pkgs;" is not the end of a value.
			if i >= 2 && words[i-2].text == "with" {
				continue
			}
			open = -1
		case open < 0 && i+1 < len(words) && words[i+1].text == "=" && !words[i+1].quoted:
			path := w.text
			if len(prefix) > 0 && prefix[len(prefix)-1] != "" {
				path = prefix[len(prefix)-1] + "." + path
			}
			out = append(out, binding{path: path, line: w.line})
			open = len(out) - 1
			i++
			if i+1 < len(words) && words[i+1].text == "{" && !words[i+1].quoted {
				continue
			}
		case open >= 0:
			out[open].words = append(out[open].words, w)
		}
	}
	return out
}

const maxNixDepth = 100

// isNixOpener reports whether a set that follows a word is still the value of the
// binding: "= rec {".
func isNixOpener(w nixWord) bool { return !w.quoted && w.text == "rec" }

// nixWords splits a file into words, without comments. A string is one word.
func nixWords(s string) []nixWord {
	var out []nixWord
	no := 1
	for i := 0; i < len(s) && len(out) < maxNixWords; {
		c := s[i]
		switch {
		case c == '\n':
			no++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			for i < len(s) && s[i] != '\n' {
				i++
			}
		case strings.HasPrefix(s[i:], "/*"):
			end := strings.Index(s[i+2:], "*/")
			if end < 0 {
				return out
			}
			no += strings.Count(s[i:i+end+4], "\n")
			i += end + 4
		case c == '"' || strings.HasPrefix(s[i:], "''"):
			quote := s[i : i+1]
			if c == '\'' {
				quote = "''"
			}
			start, at := i+len(quote), no
			for i = start; i < len(s) && !strings.HasPrefix(s[i:], quote); i++ {
				if s[i] == '\n' {
					no++
				}
				if s[i] == '\\' && c == '"' && i+1 < len(s) {
					i++
				}
			}
			i = min(i, len(s))
			out = append(out, nixWord{s[start:i], true, at})
			i = min(i+len(quote), len(s))
		case strings.IndexByte("{}[];=:,()", c) >= 0:
			out = append(out, nixWord{s[i : i+1], false, no})
			i++
		default:
			start := i
			for i < len(s) && strings.IndexByte(" \t\r\n{}[];=:,()\"#", s[i]) < 0 {
				i++
			}
			out = append(out, nixWord{s[start:i], false, no})
		}
	}
	return out
}

// attributes are names in nixpkgs that have a version in them.
var attributes = []struct {
	pattern *regexp.Regexp
	family  string
}{
	{regexp.MustCompile(`^nodejs(?:-slim)?[_-]([0-9]+)(?:_x)?$`), "nodejs"},
	{regexp.MustCompile(`^python(3)([0-9]+)(?:Full)?$`), "python3"},
	{regexp.MustCompile(`^go_([0-9]+)_([0-9]+)$`), "go"},
	{regexp.MustCompile(`^postgresql_([0-9]+)$`), "postgresql"},
	{regexp.MustCompile(`^(?:jdk|openjdk|temurin-bin-)([0-9]+)(?:_headless)?$`), "jdk"},
	{regexp.MustCompile(`^ruby_([0-9]+)_([0-9]+)$`), "ruby"},
	{regexp.MustCompile(`^php([0-9])([0-9])$`), "php"},
	{regexp.MustCompile(`^elixir_([0-9]+)_([0-9]+)$`), "elixir"},
	{regexp.MustCompile(`^dotnet-sdk_([0-9]+)$`), "dotnet-sdk"},
	{regexp.MustCompile(`^mysql([0-9])([0-9])$`), "mysql"},
	{regexp.MustCompile(`^gcc([0-9]+)$`), "gcc"},
}

// attribute takes a name in nixpkgs apart: postgresql_15 is postgresql 15.
func attribute(name string) (fam, version string) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "pkgs."), "nixpkgs#")
	for _, a := range attributes {
		if m := a.pattern.FindStringSubmatch(name); m != nil {
			return a.family, strings.Join(m[1:], ".")
		}
	}
	return family(name), ""
}
