package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// interpreter is where programs that were not built for the store look for the
// dynamic linker.
const interpreter = "/lib64/ld-linux-x86-64.so.2"

// prepare puts what programs expect outside the store in its place.
func (m *machine) prepare(r wire.PrepareRequest) error {
	base := r.Base
	sh := firstOf(base+"/bin/sh", base+"/bin/bash")
	if !strings.HasPrefix(base, nixspace.StoreDir+"/") || sh == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "base_invalid", "%q is no base system: it has no bin/sh in this machine", base)
	}
	if r.Environment != "" {
		if _, err := os.Stat(r.Environment); err != nil {
			return nixspace.Errorf(nixspace.KindInvalid, "environment_missing", "the environment %q is not in this machine: %w", r.Environment, err)
		}
	}
	links := map[string]string{
		"/bin/sh":      sh,
		"/bin/bash":    firstOf(base + "/bin/bash"),
		"/usr/bin/env": firstOf(base + "/bin/env"),
		interpreter:    linker(base),
	}
	certificates := firstOf(base+"/etc/ssl/certs/ca-bundle.crt", base+"/etc/ssl/certs/ca-certificates.crt")
	links["/etc/ssl/certs/ca-bundle.crt"] = certificates
	links["/etc/ssl/certs/ca-certificates.crt"] = certificates
	for _, name := range []string{"protocols", "services"} {
		links["/etc/"+name] = firstOf(base + "/etc/" + name)
	}
	var errs []error
	for name, target := range links {
		if target != "" {
			errs = append(errs, link(target, name))
		}
	}
	env := m.agent.environ()
	shell := env["SHELL"]
	profile := profile(env)
	errs = append(errs, writeEtc(map[string]string{
		"passwd": "root:x:0:0:root:/root:" + shell + "\n" +
			"dev:x:1000:1000:dev:/home/dev:" + shell + "\n" +
			"nobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":         "root:x:0:\ntty:x:5:\ndev:x:1000:\nnogroup:x:65534:\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
		"shells":        "/bin/sh\n/bin/bash\n",
		"os-release":    "NAME=NixSpace\nID=nixspace\nPRETTY_NAME=\"NixSpace\"\n",
		"profile":       profile,
		"bash.bashrc":   prompt,
	}))
	errs = append(errs, m.agent.asDev(homeSkeleton))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return nil
}

// prompt is what interactive shells begin with.
const prompt = `case $- in *i*) PS1='\u@\h:\w\$ ' ;; esac
[ -z "${BASH_VERSION:-}" ] || shopt -s checkwinsize 2>/dev/null
`

// profile returns the profile of login shells: the environment that every process
// has already, for shells that are started without it, such as by su or a server.
func profile(env map[string]string) string {
	var b strings.Builder
	for _, kv := range flatten(env) {
		k, v, _ := strings.Cut(kv, "=")
		if !shellName(k) {
			continue // no shell could export it
		}
		b.WriteString("export " + k + "='" + strings.ReplaceAll(v, "'", `'\''`) + "'\n")
	}
	return b.String() + prompt
}

func shellName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// homeSkeleton makes the first files of dev's home, once.
func homeSkeleton() error {
	f, err := os.OpenFile("/home/dev/.bashrc", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("[ ! -r /etc/bash.bashrc ] || . /etc/bash.bashrc\n")
	return errors.Join(err, f.Close())
}

// linker finds the dynamic linker: the base system's own, or the one of the only
// C library in the store.
func linker(base string) string {
	name := filepath.Base(interpreter)
	if own := firstOf(base+"/lib/"+name, base+"/lib64/"+name); own != "" {
		return own
	}
	found, err := filepath.Glob(nixspace.StoreDir + "/*/lib/" + name)
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

func firstOf(paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// link makes name a symbolic link to target, whatever it was before.
func link(target, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp := name + ".new"
	_ = os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
