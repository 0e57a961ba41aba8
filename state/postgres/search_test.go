package postgres

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestEnvironmentsPage(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	made := map[string]*nixspace.Environment{}
	for _, name := range []string{"b", "a10", "a-1", "z", "c.c", "gone"} {
		e := *w.env
		e.ID, e.Name, e.ParentID = nixspace.NewID(), name, w.env.ID
		if err := tx.Environments().Create(ctx, &e, firstMove); err != nil {
			t.Fatal(err)
		}
		made[name] = &e
	}
	made["gone"].DeletedAt = at
	if err := tx.Environments().Update(ctx, made["gone"]); err != nil {
		t.Fatal(err)
	}
	for _, project := range []nixspace.ID{"", w.env.ProjectID} {
		want, err := tx.Environments().List(ctx, project)
		if err != nil {
			t.Fatal(err)
		}
		var got []nixspace.Environment
		var after *nixspace.Environment
		for {
			page, total, err := tx.Environments().Page(ctx, project, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if total != len(want) {
				t.Fatalf("%d in all, want %d", total, len(want))
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = &page[len(page)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %q (-list +pages):\n%s", project, diff)
		}
	}
	// One that is deleted meanwhile is still a place to go on from.
	page, _, err := tx.Environments().Page(ctx, w.env.ProjectID, made["gone"], 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page {
		if e.Name <= "gone" {
			t.Errorf("%s comes after gone", e.Name)
		}
	}
	if none, total, err := tx.Environments().Page(ctx, nixspace.NewID(), nil, 10); err != nil || len(none) != 0 || total != 0 {
		t.Errorf("of no project: %d of %d, %v", len(none), total, err)
	}
}
