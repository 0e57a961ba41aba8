package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/inspect"
)

// longHistory gives shop a history of n versions.
func longHistory(b *testing.B, h *host, n int) {
	b.Helper()
	env := h.create(b)
	head := h.version(b, "shop")
	user, err := h.Owner(h.ctx, "ada")
	if err != nil {
		b.Fatal(err)
	}
	err = h.db.InTx(h.ctx, func(tx nixspace.Tx) error {
		for i := 1; i < n; i++ {
			v := *head
			v.ID, v.Seq, v.Parents, v.CreatedBy = nixspace.NewID(), head.Seq+1, []string{head.VersionHash}, user.ID
			v.CreatedAt, v.Message = head.CreatedAt.Add(time.Microsecond), fmt.Sprint("version ", i)
			v.Changes = []nixspace.Change{{Op: nixspace.ChangeSet, Path: "env.N", From: fmt.Sprint(i - 1), To: fmt.Sprint(i)}}
			v.VersionHash = v.ComputeHash()
			if err := tx.Versions().Create(h.ctx, &v, head.ID); err != nil {
				return err
			}
			head = &v
		}
		return tx.Environments().MoveHead(h.ctx, head, nixspace.HeadMove{
			EnvironmentID: env.ID, From: env.Head, Action: nixspace.MoveChange, Actor: "ada", At: time.Now(),
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.db.Pool().Exec(h.ctx, "ANALYZE"); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHistory reads short and long histories: a page of the log, a
// difference and a search for a common ancestor, all near the head, must cost the
// same in both.
func BenchmarkHistory(b *testing.B) {
	for _, versions := range []int{100, 10_000} {
		h := newHost(b)
		longHistory(b, h, versions)
		h.branch(b, "shop~5", "side", set("env.SIDE", "1")...)
		for name, op := range map[string]func() error{
			"log": func() error {
				_, _, err := h.Log(h.ctx, "", []string{"shop"}, nil, 50)
				return err
			},
			"diff": func() error {
				_, err := h.Diff(h.ctx, inspect.DiffQuery{From: "shop~1", To: "shop", ManifestOnly: true})
				return err
			},
			"bases": func() error {
				_, err := h.MergeBases(h.ctx, "shop", "side")
				return err
			},
			"ref": func() error {
				_, err := h.Version(h.ctx, "shop~50")
				return err
			},
		} {
			b.Run(fmt.Sprintf("op=%s/versions=%d", name, versions), func(b *testing.B) {
				for b.Loop() {
					if err := op(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		h.stop()
	}
}
