package graph_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// TestFlakesThroughTheAPI goes once through everything that flakes.graphqls has.
func TestFlakesThroughTheAPI(t *testing.T) {
	a, _, _ := realApp(t)
	url, _ := server(t, a)
	want := func(query string, parts ...string) string {
		t.Helper()
		got := string(post(t, url, query, nil))
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s\nanswered %s\nwithout %s", query, got, part)
			}
		}
		return got
	}
	flake := func(greeting string) string {
		return "{\n  packages = [ pkgs.git ];\n  # what it says\n  GREETING = \"" + greeting + "\";\n}\n"
	}
	manifest := "[flake.inputs]\nnixpkgs = \"catalog\"\n[flake.files]\n\"flake.nix\" = " + strconv.Quote(flake("hi")) + "\n"
	want(`mutation{createProject(input:{slug:"tools",manifest:`+strconv.Quote(manifest)+`}){environment{flake head{packages{name constraint version}}}}}`,
		strconv.Quote(flake("hi")), `{"name":"git","constraint":"flake","version":"2.39.5"}`)
	want(`query{version(ref:"tools"){userFlake{attr files{path text} overrides{input by} packages{name version} env{name value} skipped}}}`,
		`"attr":"devShells.x86_64-linux.default"`, `"path":"flake.lock"`, `{"input":"nixpkgs","by":"catalog"}`, `{"name":"git","version":"2.39.5"}`,
		`{"name":"GREETING","value":"hi"}`, `"skipped":[]`)
	want(`query{version(ref:"shop"){userFlake{attr}}}`, `"userFlake":null`)

	key := strconv.Quote(`flake.files."flake.nix"`)
	for _, name := range []string{"one", "two"} {
		want(`mutation{branch(input:{from:"tools",name:"`+name+`",edits:[{op:SET,key:`+key+`,value:`+strconv.Quote(flake(name))+`}]}){version{changes{path from to}}}}`,
			`"from":"5 lines","to":"5 lines (+1 −1)"`)
	}
	want(`query{diff(from:"tools",to:"one",depth:MANIFEST){texts{path diff}}}`, `"path":"flake.nix"`, `+  GREETING = \"one\";`)
	got := want(`mutation{merge(input:{from:"one",into:"two"}){outcome conflicts{kind path merged}}}`, `"outcome":"CONFLICTS"`, `"kind":"TEXT"`)
	var out struct {
		Data struct {
			Merge struct {
				Conflicts []struct{ Path, Merged string }
			}
		}
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil || len(out.Data.Merge.Conflicts) != 1 {
		t.Fatalf("%v: %s", err, got)
	}
	c := out.Data.Merge.Conflicts[0]
	if !strings.Contains(c.Merged, "<<<<<<< ours\n  GREETING = \"two\";\n||||||| base\n  GREETING = \"hi\";\n=======\n  GREETING = \"one\";\n>>>>>>> theirs\n") {
		t.Errorf("the text is %s", c.Merged)
	}
	want(`mutation{merge(input:{from:"one",into:"two",resolutions:[{path:`+strconv.Quote(c.Path)+`,take:VALUE,value:`+strconv.Quote(flake("both"))+`}]}){outcome version{flake}}}`,
		`"outcome":"MERGED"`, strconv.Quote(flake("both")))
	want(`mutation{change(input:{ref:"two",edits:[{op:SET,key:`+key+`,value:"throw"}]}){version{seq}}}`, `"code":"flake_invalid"`)
	want(`query{flakeManifest(input:{workspace:"x"})}`, `"errors"`)
}
