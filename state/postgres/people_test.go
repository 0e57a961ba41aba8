package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

// TestOccupiedWaits: who counts the sessions of a user or a project while another
// one does, to take the last place, gets an answer only after the other one's
// transaction.
func TestOccupiedWaits(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	ada, bob, shop, vault := nixspace.NewID(), nixspace.NewID(), nixspace.NewID(), nixspace.NewID()
	for _, tt := range []struct {
		name          string
		user, project nixspace.ID
	}{{"same user", ada, vault}, {"same project", bob, shop}} {
		t.Run(tt.name, func(t *testing.T) {
			second := make(chan error, 1)
			committing := make(chan struct{})
			early := errors.New("the second one did not wait")
			err := d.InTx(ctx, func(tx nixspace.Tx) error {
				if _, _, err := tx.People().Members().Occupied(ctx, ada, shop); err != nil {
					return err
				}
				go func() {
					second <- d.InTx(ctx, func(tx nixspace.Tx) error {
						_, _, err := tx.People().Members().Occupied(ctx, tt.user, tt.project)
						select {
						case <-committing:
						default:
							err = errors.Join(err, early)
						}
						return err
					})
				}()
				for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
					row := d.pool.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
						AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
					if err := row.Scan(&waiting); err != nil {
						return err
					}
					select {
					case err := <-second:
						second <- err
						waiting = 1
					default:
					}
				}
				close(committing)
				return nil
			})
			if err := errors.Join(err, <-second); err != nil {
				t.Fatal(err)
			}
		})
	}
}
