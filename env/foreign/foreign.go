// Package foreign writes an environment in the formats of other tools: a Dev
// Container, a Dockerfile, a direnv file. What a format cannot have is said.
//
// The package is pure, and its functions may be called by many goroutines at once.
package foreign

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/nixspace/nixspace/env/manifest"
)

// Environment is what is written.
type Environment struct {
	Name     string // of the project
	Manifest *manifest.Manifest
	Packages []Package
	// Flake says that there is a flake.nix beside what is written.
	Flake bool
}

// Package is a package with what it was resolved to.
type Package struct {
	Family  string
	Version string
	// Constraint is as the manifest has it.
	Constraint manifest.Constraint
}

// File is one file of an export.
type File struct {
	Path string `json:"path"` // from the project's folder, with slashes
	Text string `json:"text"`
}

// Export is an environment in another format.
type Export struct {
	Files []File `json:"files"`
	// Left is what the format does not have, in words.
	Left []string `json:"left"`
}

// lineParts is how many numbers name a line of releases, where it is not one.
var lineParts = map[string]int{"go": 2, "python3": 2, "ruby": 2, "php": 2, "rustc": 2, "elixir": 2}

// line is the version as tags of images have it: as the manifest says it, or the
// line of releases of what was resolved.
func (p Package) line() string {
	if c := p.Constraint.String(); c != "" && strings.Trim(c, "0123456789.") == "" && !strings.HasSuffix(c, ".") {
		return c
	}
	numbers := strings.Split(p.Version, ".")
	return strings.Join(numbers[:min(len(numbers), max(lineParts[p.Family], 1))], ".")
}

// image is an official image that has a language, and the suite of its tags.
type image struct{ name, suffix, copies string }

// suite is the Debian that everything is built on; the catalog's packages are from
// there, too.
const suite = "trixie"

// images by family; what is copied out of them is all of the language.
var images = map[string]image{
	"nodejs":  {"node", "-" + suite + "-slim", "/usr/local/"},
	"go":      {"golang", "-" + suite, "/usr/local/go/"},
	"python3": {"python", "-slim-" + suite, ""},
	"ruby":    {"ruby", "-slim-" + suite, ""},
	"php":     {"php", "-cli-" + suite, ""},
}

// debianPython is the version of Python that the suite has itself.
const debianPython = "3.13"

// debs are the Debian packages of what the catalog has, by family. What has none
// is in every image.
var debs = map[string][]string{
	"python3": {"python3", "python3-venv"}, "git": {"git"}, "curl": {"curl"}, "wget": {"wget"}, "cacert": {"ca-certificates"},
	"jq": {"jq"}, "ripgrep": {"ripgrep"}, "gnumake": {"make"}, "gcc": {"g++"}, "binutils": {"binutils"}, "openssh": {"openssh-client"},
	"less": {"less"}, "nano": {"nano"}, "vim": {"vim"}, "procps": {"procps"}, "psmisc": {"psmisc"}, "tzdata": {"tzdata"},
	"sqlite": {"sqlite3"}, "rsync": {"rsync"}, "tree": {"tree"}, "strace": {"strace"}, "ncurses": {"ncurses-bin"}, "file": {"file"},
	"unzip": {"unzip"}, "patch": {"patch"}, "xz": {"xz-utils"}, "zstd": {"zstd"}, "bzip2": {"bzip2"}, "gawk": {"gawk"},
	"postgresql": {"postgresql-client"}, "redis": {"redis-tools"}, "cargo": nil, "bash": nil, "coreutils": nil, "findutils": nil, "gnugrep": nil, "gnused": nil,
	"gnutar": nil, "gzip": nil, "diffutils": nil, "which": nil, "hostname": nil, "util-linux": nil, "glibc": nil, "glibcLocales": nil,
}

// system is how packages are installed in an image.
type system struct {
	base   string // the image that it begins with
	stages []stage
	apt    []string // sorted
	left   []string
}

type stage struct {
	name, image, copies string
}

// systemOf plans an image. One language whose image cannot be copied from may be
// what it begins with.
func systemOf(e Environment) system {
	s := system{base: "debian:" + suite + "-slim"}
	apt := map[string]bool{"ca-certificates": true}
	based := ""
	for _, p := range e.Packages {
		img, known := images[p.Family]
		if p.Family == "python3" && p.line() == debianPython {
			known = false // Debian has the very version
		}
		switch {
		case known && img.copies != "":
			s.stages = append(s.stages, stage{p.Family, img.name + ":" + p.line() + img.suffix, img.copies})
		case known && based == "":
			based, s.base = p.Family, img.name+":"+p.line()+img.suffix
		case known:
			s.left = append(s.left, p.Family+" "+p.line()+": an image has one language of this kind, and "+based+" is it")
		default:
			names, ok := debs[p.Family]
			if !ok {
				s.left = append(s.left, p.Family+" "+p.Version+": it is in no image and not in Debian under a name that is known here")
			}
			for _, n := range names {
				apt[n] = true
			}
		}
	}
	s.apt = slices.Sorted(maps.Keys(apt))
	return s
}

// dockerfile writes the part that all images have: the system and the variables.
func (s system) dockerfile(b *strings.Builder, e Environment) {
	for _, st := range s.stages {
		b.WriteString("FROM " + st.image + " AS " + st.name + "\n")
	}
	if len(s.stages) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("FROM " + s.base + "\n")
	b.WriteString("RUN apt-get update \\\n && apt-get install --yes --no-install-recommends " + strings.Join(s.apt, " ") + " \\\n && rm -rf /var/lib/apt/lists/*\n")
	path := ""
	for _, st := range s.stages {
		b.WriteString("COPY --from=" + st.name + " " + st.copies + " " + st.copies + "\n")
		if st.name == "go" {
			path = "/usr/local/go/bin:"
		}
	}
	if path != "" {
		b.WriteString("ENV PATH=" + path + "$PATH\n")
	}
	for _, k := range slices.Sorted(maps.Keys(e.Manifest.Env)) {
		b.WriteString("ENV " + k + "=" + dockerText(e.Manifest.Env[k]) + "\n")
	}
}

// dockerText quotes a value as the instructions of a Dockerfile read it.
func dockerText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", " ", "\r", " ").Replace(s) + `"`
}

// serviceImage is the image of a service that NixSpace knows.
func (e Environment) serviceImage(name string) (string, bool) {
	img, ok := map[string]string{"postgresql": "postgres", "redis": "redis"}[name]
	if !ok {
		return "", false
	}
	i := slices.IndexFunc(e.Packages, func(p Package) bool { return p.Family == name })
	if i < 0 {
		return img, true
	}
	return img + ":" + e.Packages[i].line(), true
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ports are the project's own, in order.
func (e Environment) ports() []int {
	out := slices.Collect(maps.Values(e.Manifest.Ports))
	slices.Sort(out)
	return slices.Compact(out)
}

// start is the script that runs the project, or "".
func (e Environment) start() string {
	return cmp.Or(e.Manifest.Scripts["start"], e.Manifest.Scripts["dev"])
}

// made is the first line of a file.
func made(comment, format string) string {
	return comment + " Made by `nixspace generate " + format + "` from " + manifest.FileName + ".\n"
}
