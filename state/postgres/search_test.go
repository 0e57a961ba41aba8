package postgres

import (
	"slices"
	"testing"

	"github.com/nixspace/nixspace"
)

func TestSearchEnvironments(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	for _, name := range []string{"pg14", "pg14-redis", "with_line", "gone"} {
		e := *w.env
		e.ID, e.Name, e.ParentID = nixspace.NewID(), name, w.env.ID
		if err := tx.Environments().Create(ctx, &e, firstMove); err != nil {
			t.Fatal(err)
		}
		if name == "gone" {
			e.DeletedAt = at
			if err := tx.Environments().Update(ctx, &e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		words []string
		limit int
		want  []string
	}{
		{[]string{"PG14"}, 10, []string{"pg14", "pg14-redis"}},
		{[]string{"redis", w.env.Project + "/"}, 10, []string{"pg14-redis"}},
		{[]string{"pg14"}, 1, []string{"pg14"}},
		{[]string{"h_l"}, 10, []string{"with_line"}}, // no pattern: pg14 would match
		{[]string{"%"}, 10, nil},
		{[]string{`\`}, 10, nil},
		{[]string{"gone"}, 10, nil},
	} {
		found, err := tx.Environments().Search(ctx, c.words, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range found {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("search %q: %q, want %q", c.words, names, c.want)
		}
	}
	if all, err := tx.Environments().Search(ctx, nil, 3); err != nil || len(all) != 3 {
		t.Errorf("no word finds %d of 3, %v", len(all), err)
	}
}
