package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/graph"
)

var update = flag.Bool("update", false, "write the golden files again")

// syncBuffer is a log that a server writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// server serves a to one user.
func server(t testing.TB, a graph.App) (url string, log *syncBuffer) {
	t.Helper()
	log = &syncBuffer{}
	h := graph.New(graph.Config{App: a, Log: slog.New(slog.NewTextHandler(log, nil)), Version: "test"})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(nixspace.WithActor(r.Context(), apitest.Owner)))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, log
}

func post(t testing.TB, url, query string, vars map[string]any) []byte {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	res, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden sends each query of testdata and compares the whole answer.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.graphql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no queries: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".graphql"), func(t *testing.T) {
			query, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			url, _ := server(t, apitest.New())
			var got bytes.Buffer
			if err := json.Indent(&got, post(t, url, string(query), nil), "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			golden := strings.TrimSuffix(file, ".graphql") + ".json"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("answer differs (-want +got):\n%s", diff)
			}
		})
	}
}

type answer struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Path       []any
		Extensions struct {
			Code, Kind, Hint string
			Details          map[string]any
		}
	}
}

func ask(t *testing.T, url, query string, vars map[string]any) answer {
	t.Helper()
	var a answer
	b := post(t, url, query, vars)
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatalf("answer %s: %v", b, err)
	}
	return a
}

func TestLimits(t *testing.T) {
	url, _ := server(t, apitest.New())
	deep := strings.Repeat("environments{nodes{project{", 5) + "slug" + strings.Repeat("}}}", 5)
	for _, tt := range []struct{ name, query, code, kind string }{
		{"too deep", `{projects(first:1){nodes{` + deep + `}}}`, "query_too_deep", "limit"},
		{"too deep by fragments", `query{...a} fragment a on Query{projects(first:1){nodes{...b}}} fragment b on Project{` + deep + `}`, "query_too_deep", "limit"},
		{"too complex", `{projects(first:500){nodes{environments(first:500){nodes{id}}}}}`, "query_too_complex", "limit"},
		{"many aliases", `{` + aliases(40) + `}`, "query_too_complex", "limit"},
		{"many tokens", `{` + strings.Repeat("__typename ", 11000) + `}`, "graphql_invalid", "invalid"},
		{"page too large", `{projects(first:501){nodes{id}}}`, "page_size_invalid", "invalid"},
		{"page of nothing", `{projects(first:0){nodes{id}}}`, "page_size_invalid", "invalid"},
		{"cursor of nothing", `{projects(after:"x!"){nodes{id}}}`, "cursor_invalid", "invalid"},
		{"cursor of another list", `{environment(ref:"shop"){versions(after:"YWJj"){nodes{id}}}}`, "cursor_invalid", "invalid"},
		{"log page too large", `{environment(ref:"shop"){head{builds{log(first:100000){seq}}}}}`, "page_size_invalid", "invalid"},
		{"syntax", `{projects(`, "graphql_invalid", "invalid"},
		{"unknown field", `{everything}`, "graphql_invalid", "invalid"},
		{"identity that is none", `{build(id:"7"){id}}`, "id_invalid", "invalid"},
		{"cyclic fragment", `{...a} fragment a on Query{...a}`, "graphql_invalid", "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ask(t, url, tt.query, nil)
			if len(a.Errors) == 0 {
				t.Fatalf("it was answered: %v", a.Data)
			}
			if e := a.Errors[0].Extensions; e.Code != tt.code || e.Kind != tt.kind {
				t.Errorf("error %q is %s/%s, want %s/%s", a.Errors[0].Message, e.Kind, e.Code, tt.kind, tt.code)
			}
		})
	}
}

func aliases(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a" + strings.Repeat("x", i) + ":projects(first:500){nodes{id slug}} ")
	}
	return b.String()
}

// TestErrors checks what of an error leaves the server.
func TestErrors(t *testing.T) {
	secret := "password=hunter2"
	a := apitest.New()
	a.Fail = func(method string) error {
		switch method {
		case "Projects":
			return errors.New("connect to database: " + secret)
		case "Project":
			return nixspace.Errorf(nixspace.KindConflict, "locked", "it is locked").WithHint("wait").WithDetail("by", "somebody")
		case "SearchPackages":
			panic("nil map " + secret)
		}
		return nil
	}
	url, log := server(t, a)

	got := ask(t, url, `{project(ref:"shop"){id}}`, nil).Errors[0]
	if e := got.Extensions; got.Message != "it is locked" || e.Code != "locked" || e.Kind != "conflict" || e.Hint != "wait" || e.Details["by"] != "somebody" {
		t.Errorf("an error for people arrived as %+v", got)
	}
	for _, query := range []string{`{projects{nodes{id}}}`} {
		b := post(t, url, query, nil)
		var ans answer
		if err := json.Unmarshal(b, &ans); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(secret)) || ans.Errors[0].Extensions.Code != "internal" {
			t.Errorf("a defect went out as %s", b)
		}
		id, _ := ans.Errors[0].Extensions.Details["id"].(string)
		if l := log.String(); id == "" || !strings.Contains(l, id) || !strings.Contains(l, secret) {
			t.Errorf("the log says nothing of %q: %s", id, l)
		}
	}
}

// TestPanic checks that a panic in a resolver ends as an internal error.
func TestPanic(t *testing.T) {
	url, log := server(t, panicking{apitest.New()})
	b := post(t, url, `{packages{attr} viewer{name}}`, nil)
	if !bytes.Contains(b, []byte(`"code":"internal"`)) || bytes.Contains(b, []byte("boom")) {
		t.Errorf("answer %s", b)
	}
	if l := log.String(); !strings.Contains(l, "boom") || !strings.Contains(l, "handler_test.go") {
		t.Errorf("the log has no stack: %s", l)
	}
}

type panicking struct{ *apitest.App }

func (panicking) SearchPackages(context.Context, string, int) ([]nixspace.Package, error) {
	panic("boom")
}

// TestLoaders checks that a list asks once for what all its items need.
func TestLoaders(t *testing.T) {
	a := apitest.New()
	url, _ := server(t, a)
	ans := ask(t, url, `{environments{nodes{ref head{hash environment{ref}} project{slug} parent{ref}}}}`, nil)
	if len(ans.Errors) > 0 {
		t.Fatal(ans.Errors)
	}
	for _, method := range []string{"VersionsByID", "EnvironmentsPage"} {
		if n := a.Calls(method); n != 1 {
			t.Errorf("%s was called %d times, want once", method, n)
		}
	}
	if n := a.Calls("Project") + a.Calls("Projects"); n != 1 {
		t.Errorf("the project was asked for %d times, want once", n)
	}
	if n := a.Calls("EnvironmentsByID"); n > 2 { // heads' environments, and parents
		t.Errorf("EnvironmentsByID was called %d times, want 2 at most", n)
	}
}

// TestPages reads lists in pages of one.
func TestPages(t *testing.T) {
	url, _ := server(t, apitest.New())
	type conn struct {
		Nodes    []struct{ Ref, Hash string }
		PageInfo struct {
			HasNextPage bool
			EndCursor   *string
		}
	}
	for _, tt := range []struct {
		name, query string
		pick        func(answer) conn
		want        int
	}{
		{
			"environments", `query($after:String){r:environments(first:1,after:$after){nodes{ref} pageInfo{hasNextPage endCursor}}}`,
			func(a answer) (c conn) { _ = json.Unmarshal(a.Data["r"], &c); return c }, 2,
		},
		{
			"versions", `query($after:String){r:environment(ref:"shop"){v:versions(first:1,after:$after){nodes{hash} pageInfo{hasNextPage endCursor}}}}`,
			func(a answer) conn {
				var r struct{ V conn }
				_ = json.Unmarshal(a.Data["r"], &r)
				return r.V
			}, 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "versions" {
				if a := ask(t, url, `mutation{change(input:{ref:"shop",edits:[{op:ADD,key:"redis",value:"7"}]}){version{seq}}}`, nil); len(a.Errors) > 0 {
					t.Fatal(a.Errors)
				}
			}
			seen := map[string]bool{}
			var after *string
			for range 10 {
				a := ask(t, url, tt.query, map[string]any{"after": after})
				if len(a.Errors) > 0 {
					t.Fatal(a.Errors)
				}
				c := tt.pick(a)
				for _, n := range c.Nodes {
					seen[n.Ref+n.Hash] = true
				}
				if !c.PageInfo.HasNextPage {
					break
				}
				after = c.PageInfo.EndCursor
			}
			if len(seen) != tt.want {
				t.Errorf("saw %d items: %v, want %d", len(seen), seen, tt.want)
			}
		})
	}
}
