package nix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// many adds n texts to the store that refer to each other like libraries do, and
// returns the last, whose closure they are.
func many(b *testing.B, e *nix.Engine, n int) string {
	b.Helper()
	var paths []string
	for i := range n {
		var refs []string
		for k := i / 2; k < i && len(refs) < 8; k += max(i/16, 1) {
			refs = append(refs, paths[k])
		}
		if i == n-1 {
			refs = paths
		}
		p, err := e.Store().AddText(b.Context(), fmt.Sprintf("lib-%d", i), []byte(strings.Join(refs, "\n")), refs)
		if err != nil {
			b.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths[n-1]
}

// Closures: cold asks the daemon for each path, warm only whether the first is valid.
func BenchmarkClosure(b *testing.B) {
	e := open(b)
	for _, n := range []int{300, 2000} {
		top := many(b, e, n)
		b.Run(fmt.Sprintf("cold/%d", n), func(b *testing.B) {
			for b.Loop() {
				e.ForgetPaths()
				if c, err := e.Closure(b.Context(), top); err != nil || len(c) != n {
					b.Fatal(len(c), err)
				}
			}
		})
		b.Run(fmt.Sprintf("warm/%d", n), func(b *testing.B) {
			for b.Loop() {
				if c, err := e.Closure(b.Context(), top); err != nil || len(c) != n {
					b.Fatal(len(c), err)
				}
			}
		})
	}
}

// A branch with another set of packages, all of which are there: the derivation is
// written, then built.
func BenchmarkChangedEnvironment(b *testing.B) {
	e := open(b)
	pkgs := packages(b)[:3]
	for _, p := range pkgs {
		nixtest.Nix(b, "nix-store", "--realise", p.DrvPath)
	}
	i := 0
	next := func() string { i++; return fmt.Sprintf("bench-%d-env", i) }
	b.Run("instantiate", func(b *testing.B) {
		for b.Loop() {
			if _, err := e.Instantiate(b.Context(), next(), pkgs); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("instantiate+realise", func(b *testing.B) {
		for b.Loop() {
			env, err := e.Instantiate(b.Context(), next(), pkgs)
			if err == nil {
				err = e.Realise(b.Context(), nil, env.DrvPath)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	env, err := e.Instantiate(b.Context(), next(), pkgs)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("realise-present", func(b *testing.B) {
		for b.Loop() {
			if err := e.Realise(b.Context(), nil, env.DrvPath); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("root", func(b *testing.B) {
		for b.Loop() {
			if err := e.Root(b.Context(), "bench", env.OutPath); err != nil {
				b.Fatal(err)
			}
		}
	})
}
