package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

// realApp is the use cases themselves, with stand-ins for packages and machines,
// and the project shop.
func realApp(t testing.TB) (*app.App, *postgres.DB, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(nixspace.WithActor(t.Context(), apitest.Owner), 10*time.Minute)
	d, err := postgres.Open(ctx, postgrestest.URL(t, postgres.Migrate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	jobs := &apptest.Jobs{}
	a := app.New(app.Config{
		Store: jobs.Over(d), Packages: apptest.NewPackages(), Machines: apptest.NewMachines(), Jobs: jobs, Log: slog.New(slog.DiscardHandler),
	})
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.Run(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Close()
		cancel()
	})
	if _, _, _, err := a.CreateProject(ctx, environments.CreateProject{Slug: "shop", Manifest: apitest.Manifest}); err != nil {
		t.Fatal(err)
	}
	return a, d, ctx
}

// TestHistoryThroughTheAPI goes once through everything that history.graphqls has.
func TestHistoryThroughTheAPI(t *testing.T) {
	a, _, _ := realApp(t)
	url, _ := server(t, a)
	want := func(query, part string) string {
		t.Helper()
		got := string(post(t, url, query, nil))
		if !strings.Contains(got, part) {
			t.Errorf("%s\nanswered %s\nwithout %s", query, got, part)
		}
		return got
	}
	const set = `edits:[{op:SET,key:"%s",value:"%s"}]`
	branch := func(name, key, value string) {
		t.Helper()
		want(`mutation{branch(input:{from:"shop",name:"`+name+`",`+fmt.Sprintf(set, key, value)+`}){environment{ref protected deletedAt}}}`,
			`{"ref":"shop/`+name+`","protected":false,"deletedAt":null}`)
	}
	branch("a", "postgresql", "14")
	branch("b", "postgresql", "16")
	want(`mutation{change(input:{ref:"b",`+fmt.Sprintf(set, "env.B", "1")+`}){version{seq}}}`, `"seq":3`)

	const ask = `outcome fastForward conflicts{kind path base ours theirs reason} changes{path} bases version{seq parents} build{status} merge{id status error environment{ref} version{seq}}`
	want(`query{mergePreview(input:{from:"b",into:"a"}){`+ask+`}}`, `"outcome":"CONFLICTS"`)
	got := want(`mutation{merge(input:{from:"b",into:"a"}){`+ask+`}}`,
		`{"kind":"VALUE","path":"packages.postgresql","base":"15","ours":"14","theirs":"16","reason":""}`)
	if strings.Contains(got, "errors") {
		t.Errorf("conflicts came as an error: %s", got)
	}
	got = want(`mutation{merge(input:{from:"b",into:"a",resolutions:[{path:"postgresql",take:VALUE,value:"13"}]}){`+ask+`}}`, `"outcome":"MERGED"`)
	var merged struct {
		Data struct {
			Merge struct{ Merge struct{ ID string } }
		}
	}
	if err := json.Unmarshal([]byte(got), &merged); err != nil {
		t.Fatal(err)
	}
	want(`query{merge(id:"`+merged.Data.Merge.Merge.ID+`"){status message actor finishedAt}}`, `"status":"MERGED"`)
	want(`mutation{merge(input:{from:"a",into:"b",prefer:OURS}){`+ask+`}}`, `"outcome":"FAST_FORWARD"`)
	want(`mutation{merge(input:{from:"a",into:"b",resolutions:[{path:"x y",take:OURS}]}){outcome}}`, `"code":"resolution_invalid"`)

	page := want(`query{log(refs:["a"],first:2){nodes{hash parents seq message environments tags changes{path} version{seq}} pageInfo{hasNextPage endCursor}}}`, `"environments":["shop/a","shop/b"]`)
	cursor := page[strings.Index(page, `"endCursor":"`)+len(`"endCursor":"`):]
	cursor = cursor[:strings.IndexByte(cursor, '"')]
	want(`query{log(after:"`+cursor+`"){nodes{seq} pageInfo{hasNextPage}}}`, `{"nodes":[{"seq":2},{"seq":2},{"seq":1}],"pageInfo":{"hasNextPage":false}}`)
	want(`query{log(after:"x!"){nodes{seq}}}`, `"code":"cursor_invalid"`)
	want(`query{reflog(environment:"b",first:1){nodes{action actor from{seq} to{seq}} pageInfo{hasNextPage}}}`, `"action":"fast-forward"`)
	want(`query{blame(ref:"a"){path value version{message}}}`, `"path":"env.B","value":"1","version":{"message":"Set env.B to 1"}`)
	want(`query{mergeBases(a:"a",b:"shop"){seq}}`, `[{"seq":1}]`)

	want(`mutation{rollback(input:{ref:"a"}){version{seq changes{path}}}}`, `"seq":5`)
	want(`mutation{revert(input:{version:"a"}){version{message} conflicts{path}}}`, `"conflicts":[]`)
	want(`mutation{cherryPick(input:{version:"b~1",ref:"shop"}){version{seq} conflicts{path}}}`, `"version"`)
	want(`mutation{createTag(input:{name:"v1",version:"a~1",message:"one"}){ref author version{seq}}}`, `"ref":"shop/v1"`)
	want(`query{tags(project:"shop"){ref name projectSlug}}`, `"name":"v1"`)
	want(`mutation{deleteTag(ref:"v1"){ref}}`, `"shop/v1"`)
	want(`mutation{protectEnvironment(ref:"a"){protected}}`, `true`)
	want(`mutation{rollback(input:{ref:"a"}){version{seq}}}`, `"code":"environment_protected"`)
	want(`mutation{protectEnvironment(ref:"a",protected:false){protected}}`, `false`)
	want(`mutation{renameEnvironment(ref:"a",name:"c"){ref}}`, `"shop/c"`)
	want(`mutation{deleteEnvironment(ref:"c"){ref deletedAt}}`, `"deletedAt":"2`)
	want(`mutation{undeleteEnvironment(ref:"c"){ref deletedAt}}`, `"deletedAt":null`)
	want(`query{version(ref:"b@{1}~1"){seq}}`, `"seq":2`)
}

// BenchmarkBranch branches through the API, over HTTP, where there are few and
// where there are many branches already. It reports the median and the 99th
// percentile of a request, in ms.
func BenchmarkBranch(b *testing.B) {
	for _, existing := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("branches=%d", existing), func(b *testing.B) {
			a, d, ctx := realApp(b)
			parent, err := a.Environment(ctx, "shop")
			if err != nil {
				b.Fatal(err)
			}
			err = d.InTx(ctx, func(tx nixspace.Tx) error {
				for i := range existing {
					env := *parent
					env.ID, env.ParentID, env.Name = nixspace.NewID(), parent.ID, fmt.Sprintf("old-%d", i)
					if err := tx.Environments().Create(ctx, &env, nixspace.HeadMove{Action: nixspace.MoveBranch, Actor: "owner"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			url, _ := server(b, a)
			times := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				got := post(b, url, `mutation($n:String!){branch(input:{from:"shop/shop",name:$n}){environment{ref}}}`, map[string]any{"n": fmt.Sprintf("new-%d", i)})
				times = append(times, time.Since(start))
				if !strings.Contains(string(got), `"ref":"shop/new-`) {
					b.Fatalf("got %s", got)
				}
			}
			slices.Sort(times)
			ms := func(i int) float64 { return float64(times[min(i, len(times)-1)].Microseconds()) / 1000 }
			b.ReportMetric(ms(len(times)/2), "p50-ms")
			b.ReportMetric(ms(len(times)*99/100), "p99-ms")
		})
	}
}
