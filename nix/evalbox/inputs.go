package evalbox

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// lockFile is a flake.lock as far as it counts here.
type lockFile struct {
	Nodes   map[string]lockNode `json:"nodes"`
	Root    string              `json:"root"`
	Version int                 `json:"version"`
}

type lockNode struct {
	// Inputs are names of nodes, or for an input that follows another one a list
	// of names of inputs.
	Inputs   map[string]any `json:"inputs"`
	Locked   map[string]any `json:"locked"`
	Original map[string]any `json:"original"`
}

// The bounds of a lock file.
const (
	maxLock  = 256 << 10
	maxNodes = 500
)

// parseLock reads a flake.lock; nil where there is none.
func parseLock(b []byte) (*lockFile, error) {
	if len(b) == 0 {
		return nil, nil
	}
	bad := func(format string, args ...any) error {
		return nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "flake.lock: "+format, args...).
			WithHint("write it again with: nix flake lock").WithDetail("file", "flake.lock")
	}
	if len(b) > maxLock {
		return nil, bad("it has %d bytes, of %d allowed", len(b), maxLock)
	}
	var l lockFile
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, bad("it is no lock file: %w", err)
	}
	if l.Version < 5 || l.Version > 7 {
		return nil, bad("its version is %d; 5 to 7 are known", l.Version)
	}
	if len(l.Nodes) > maxNodes {
		return nil, bad("it has %d inputs, of %d allowed", len(l.Nodes), maxNodes)
	}
	if _, ok := l.Nodes[l.Root]; !ok {
		return nil, bad("it has no root")
	}
	return &l, nil
}

// withoutLocal takes inputs that are folders of the flake out of its lock. What they
// are, the flake itself says; and Nix before 2.26 can lock them, but not use the lock.
func withoutLocal(text []byte, l *lockFile) ([]byte, error) {
	var drop []string
	for name, ref := range l.Nodes[l.Root].Inputs {
		node, ok := ref.(string)
		if n := l.Nodes[node]; ok && textOf(n.Locked, "type") == "path" && !strings.HasPrefix(textOf(n.Locked, "path"), "/") {
			drop = append(drop, name)
		}
	}
	if len(drop) == 0 {
		return text, nil
	}
	var all struct {
		Nodes   map[string]map[string]any `json:"nodes"`
		Root    string                    `json:"root"`
		Version int                       `json:"version"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	if inputs, ok := all.Nodes[all.Root]["inputs"].(map[string]any); ok {
		for _, name := range drop {
			delete(inputs, name)
		}
	}
	return json.MarshalIndent(all, "", "  ")
}

// remote are kinds of inputs that come from elsewhere. No box fetches them: they may be
// used where the lock says what they are and the request has them.
var remote = []string{"github", "gitlab", "sourcehut", "tarball", "git"}

// LockedInput is an input as a lock file names it: by its content.
type LockedInput struct {
	Node   string // its name in the lock file
	Path   string // in the store, by its hash
	Remote bool   // it comes from elsewhere, and is no path in the store
	locked map[string]any
}

// Text returns an attribute of the lock that is text; empty for others.
func (i LockedInput) Text(name string) string { return textOf(i.locked, name) }

// Set reports whether an attribute of the lock is true.
func (i LockedInput) Set(name string) bool {
	set, _ := i.locked[name].(bool)
	return set
}

// LockedInputs returns the inputs of a lock file that have a store path and are used
// when others are replaced (overrides: name → anything), by their names. It fails with
// code [CodeInvalid] where the file is no lock.
func LockedInputs(lock []byte, overrides map[string]string) ([]LockedInput, error) {
	l, err := parseLock(lock)
	if err != nil || l == nil {
		return nil, err
	}
	used := l.used(overrides)
	var out []LockedInput
	for _, name := range slices.Sorted(maps.Keys(l.Nodes)) {
		n := l.Nodes[name]
		if p := n.storePath(); p != "" && used[name] {
			out = append(out, LockedInput{Node: name, Path: p, Remote: slices.Contains(remote, textOf(n.Locked, "type")), locked: n.Locked})
		}
	}
	return out, nil
}

// used returns the nodes that are reached from the root by inputs that are not
// replaced. Only inputs of the root count as replaced: what is replaced below may be
// reached by another way.
func (l *lockFile) used(overrides map[string]string) map[string]bool {
	seen := map[string]bool{}
	var visit func(node string)
	visit = func(node string) {
		if _, ok := l.Nodes[node]; !ok || seen[node] {
			return
		}
		seen[node] = true
		for name, ref := range l.Nodes[node].Inputs {
			if _, replaced := overrides[name]; replaced && node == l.Root {
				continue
			}
			if next, ok := ref.(string); ok {
				visit(next)
			} else if next, ok := l.follow(ref, overrides); ok {
				visit(next)
			}
		}
	}
	visit(l.Root)
	return seen
}

// follow returns the node of an input that is another one's, which is named by the
// inputs on the way from the root.
func (l *lockFile) follow(ref any, overrides map[string]string) (string, bool) {
	names, _ := ref.([]any)
	at := l.Root
	for depth := 0; len(names) > 0; depth++ {
		name, _ := names[0].(string)
		if _, replaced := overrides[name]; at == l.Root && replaced || depth > maxNodes {
			return "", false
		}
		switch next := l.Nodes[at].Inputs[name].(type) {
		case string:
			at, names = next, names[1:]
		case []any:
			at, names = l.Root, append(slices.Clone(next), names[1:]...)
		default:
			return "", false
		}
	}
	return at, at != l.Root
}

// storePath is where Nix puts the tree of a locked input; empty where it is not known.
func (n lockNode) storePath() string {
	hash, ok := strings.CutPrefix(textOf(n.Locked, "narHash"), "sha256-")
	sum, err := base64.StdEncoding.DecodeString(hash)
	if !ok || err != nil || len(sum) != 32 {
		return ""
	}
	return daemon.SourcePath(hex.EncodeToString(sum))
}

func textOf(set map[string]any, name string) string {
	s, _ := set[name].(string)
	return s
}

// policy decides which inputs a flake may have.
type policy struct {
	request *Request
	lock    *lockFile
}

func (p *policy) tree(path string) bool {
	return slices.ContainsFunc(p.request.Trees, func(t Tree) bool { return t.Path == path })
}

// checkLock refuses a lock with inputs that are not allowed, or not here. What the
// request replaces, and what only that needs, is not used and does not count.
func (p *policy) checkLock(l *lockFile) error {
	if l == nil {
		return nil
	}
	used := l.used(p.request.Overrides)
	for _, name := range slices.Sorted(maps.Keys(l.Nodes)) {
		n := l.Nodes[name]
		if name == l.Root && n.Locked == nil || !used[name] {
			continue
		}
		if err := p.checkNode(name, n); err != nil {
			return err
		}
	}
	return nil
}

func (p *policy) checkNode(name string, n lockNode) error {
	kind := textOf(n.Locked, "type")
	switch {
	case kind == "path":
		at := textOf(n.Locked, "path")
		if p.tree(at) {
			return nil
		}
		if at == "" || strings.HasPrefix(at, "/") && !strings.HasPrefix(at, nixspace.StoreDir+"/") {
			return refused(name, "it is the folder "+at+" of a machine")
		}
		if strings.HasPrefix(at, "/") {
			if p.tree(n.storePath()) {
				return nil // the same tree, known by its content
			}
			return missing(name, at)
		}
		if !inside(at) {
			return refused(name, "it leads out of the flake")
		}
		return nil
	case slices.Contains(remote, kind):
		if u := textOf(n.Locked, "url"); u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "ssh://") {
			return refused(name, "it is "+u)
		}
		if at := n.storePath(); at == "" || !p.tree(at) {
			return missing(name, describeNode(n))
		}
		return nil
	case kind == "":
		return refused(name, "flake.lock does not say what it is")
	}
	return refused(name, fmt.Sprintf("flake.lock says that it is of the kind %q", kind))
}

func describeNode(n lockNode) string {
	o := n.Locked
	if owner := textOf(o, "owner"); owner != "" {
		return fmt.Sprintf("%s:%s/%s", textOf(o, "type"), owner, textOf(o, "repo"))
	}
	return textOf(o, "type") + " " + textOf(o, "url")
}

// inside reports whether a relative path stays in its tree.
func inside(p string) bool {
	p = path.Clean(p)
	return p != ".." && !strings.HasPrefix(p, "../") && !strings.HasPrefix(p, "/")
}

// checkHeader refuses settings, and inputs that are not allowed.
func (p *policy) checkHeader(h *header) error {
	if h == nil {
		return fmt.Errorf("evaluate a flake: the box did not say what is in it")
	}
	if len(h.Settings) > 0 {
		return nixspace.Errorf(nixspace.KindInvalid, CodeConfig, "the flake sets nixConfig (%s), and a flake has no say in how Nix works here", list(h.Settings)).
			WithHint("remove nixConfig from flake.nix").WithDetail("settings", h.Settings).WithDetail("file", "flake.nix")
	}
	return p.checkInputs("", h.Inputs)
}

func (p *policy) checkInputs(prefix string, inputs map[string]input) error {
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		full := prefix + name
		if _, ok := p.request.Overrides[full]; ok {
			continue
		}
		in := inputs[name]
		if err := p.checkInput(full, name, in, prefix == ""); err != nil {
			return err
		}
		if err := p.checkInputs(full+".", in.Inputs); err != nil {
			return err
		}
	}
	return nil
}

var (
	indirect = regexp.MustCompile(`^(?:flake:)?([a-zA-Z][a-zA-Z0-9_-]*)(?:/.*)?$`)
	scheme   = regexp.MustCompile(`^([a-z][a-z0-9+.-]*):`)
)

func (p *policy) checkInput(full, name string, in input, top bool) error {
	if in.Follows != nil {
		return nil
	}
	var kind, at string
	switch {
	case in.Type != nil:
		kind = *in.Type
		if in.Path != nil {
			at = *in.Path
		}
		if in.ID != nil {
			name = *in.ID
		}
	case in.URL != nil:
		kind, at = classify(*in.URL)
		if kind == "indirect" {
			name = at
		}
	case len(in.Inputs) > 0 && !top:
		return nil // it only says something of its inputs
	default:
		kind = "indirect"
	}
	switch {
	case kind == "indirect":
		if _, ok := p.request.Names[name]; ok || p.locked(full) {
			return nil
		}
		return nixspace.Errorf(nixspace.KindInvalid, CodeMissing, "the input %s is %q, a name that is not known here: known are %s", full, name, list(slices.Sorted(maps.Keys(p.request.Names)))).
			WithHint("%s", overrideHint(full)).WithDetail("input", full)
	case kind == "path":
		if p.tree(at) || !strings.HasPrefix(at, "/") && inside(at) {
			return nil
		}
		if strings.HasPrefix(at, nixspace.StoreDir+"/") {
			if p.locked(full) {
				return nil
			}
			return missing(full, at)
		}
		return refused(full, "it is "+at+", which is not in the flake")
	case slices.Contains(remote, kind):
		if p.locked(full) {
			return nil // checkLock has seen it
		}
		return nixspace.Errorf(nixspace.KindInvalid, CodeMissing, "flake.lock does not say what the input %s (%.300s) is, and only what it names by its hash is fetched", full, kind+" "+at).
			WithHint("write flake.lock with `nix flake lock` where Nix is, or %s", overrideHint(full)).WithDetail("input", full)
	}
	return refused(full, fmt.Sprintf("it is of the kind %q", kind))
}

// locked reports whether the lock says what an input is.
func (p *policy) locked(full string) bool {
	if p.lock == nil {
		return false
	}
	node := p.lock.Root
	for name := range strings.SplitSeq(full, ".") {
		next, ok := p.lock.Nodes[node].Inputs[name].(string)
		if !ok {
			return false
		}
		node = next
	}
	return true
}

// classify says of what kind a reference is, and its path or name.
func classify(url string) (kind, at string) {
	plain, _, _ := strings.Cut(url, "?")
	if m := scheme.FindStringSubmatch(plain); m != nil {
		rest := plain[len(m[0]):]
		switch m[1] {
		case "path":
			return "path", strings.TrimPrefix(rest, "//")
		case "flake":
			name, _, _ := strings.Cut(rest, "/")
			return "indirect", name
		case "git+https", "git+http", "git+ssh":
			return "git", plain
		case "https", "http", "tarball+https", "tarball+http":
			return "tarball", plain
		}
		return m[1], rest
	}
	if strings.HasPrefix(plain, "/") || strings.HasPrefix(plain, ".") {
		return "path", plain
	}
	if m := indirect.FindStringSubmatch(plain); m != nil {
		return "indirect", m[1]
	}
	return "unknown", plain
}

func refused(name, why string) error {
	return nixspace.Errorf(nixspace.KindInvalid, CodeInput, "the input %s cannot be used: %.300s", name, why).
		WithHint("inputs may be paths within the flake, the catalog (nixpkgs), and what the lock names by its hash and is on this machine").
		WithDetail("input", name)
}

func missing(name, what string) error {
	return nixspace.Errorf(nixspace.KindInvalid, CodeMissing, "the input %s (%.300s) is not on this machine", name, what).
		WithHint("%s", overrideHint(name)).WithDetail("input", name)
}

// OverrideHint says how to do without an input.
func OverrideHint(name string) string { return overrideHint(name) }

func overrideHint(name string) string {
	return fmt.Sprintf("use the catalog in its place with --override-input %s=catalog; or put its files into a folder of the flake, and write inputs.%s.url = \"path:./%s\"", name, name, name)
}

func list(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
