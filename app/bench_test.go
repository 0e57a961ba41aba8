package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
)

// BenchmarkBranch branches a definition where there are many branches already.
// Beside the mean it reports the median and the 99th percentile, in ms.
func BenchmarkBranch(b *testing.B) {
	for _, existing := range []int{10, 10_000} {
		for _, changed := range []bool{false, true} {
			b.Run(fmt.Sprintf("branches=%d/changed=%t", existing, changed), func(b *testing.B) {
				h := newHost(b)
				parent := h.create(b)
				user, err := h.Owner(h.ctx, "ada")
				if err != nil {
					b.Fatal(err)
				}
				at := parent.CreatedAt
				err = h.db.InTx(h.ctx, func(tx nixspace.Tx) error {
					for i := range existing {
						env := *parent
						env.ID, env.ParentID, env.Name, env.CreatedBy = nixspace.NewID(), parent.ID, fmt.Sprintf("old-%d", i), user.ID
						env.CreatedAt, env.UpdatedAt = at, at
						if err := tx.Environments().Create(h.ctx, &env, nixspace.HeadMove{Action: nixspace.MoveBranch, Actor: "ada"}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				times := make([]time.Duration, 0, b.N)
				b.ResetTimer()
				for i := range b.N {
					in := environments.Branch{From: "shop/shop", Name: fmt.Sprintf("new-%d", i)}
					if changed {
						in.Edits = set("postgresql", []string{"13", "14", "16"}[i%3])
					}
					start := time.Now()
					if _, _, _, err := h.Branch(h.ctx, in); err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(start))
				}
				b.StopTimer()
				slices.Sort(times)
				ms := func(i int) float64 { return float64(times[min(i, len(times)-1)].Microseconds()) / 1000 }
				b.ReportMetric(ms(len(times)/2), "p50-ms")
				b.ReportMetric(ms(len(times)*99/100), "p99-ms")
			})
		}
	}
}
