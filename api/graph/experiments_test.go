package graph_test

import (
	"strings"
	"testing"

	"github.com/nixspace/nixspace/api/apitest"
)

func TestExperiments(t *testing.T) {
	url, _ := server(t, apitest.New())
	for _, c := range []struct{ query, want string }{
		{
			`{experiment(ref:"1"){number kind status subjects{label hash} command answer runs{seq exitCode usage{wall memory} stdout report}}}`,
			`{"experiment":{"number":1,"kind":"RUN","status":"SUCCEEDED","subjects":[{"label":"shop","hash":"abc"}],"command":["true"],"answer":{"tests":null},` +
				`"runs":[{"seq":1,"exitCode":0,"usage":{"wall":1.5,"memory":1048576},"stdout":"hello\n","report":{"numbers":[]}}]}}`,
		},
		{`{experiment(ref:"2"){number}}`, `{"experiment":null}`},
		{`{experiment(ref:"1"){run(seq:7){seq} spec}}`, `{"experiment":{"run":null,"spec":{"command":["true"],"parallel":1,"subjects":[{"hash":"abc","label":"shop","versionId":""}]}}}`},
		{`mutation{startExperiment(input:{kind:RUN,refs:["shop"],axes:[{key:"postgresql",values:["13"]}],command:["true"],seed:7}){number}}`, `{"startExperiment":{"number":1}}`},
		{
			`mutation{cancelExperiment(ref:"1"){status} resumeExperiment(ref:"1"){status} repeatExperiment(ref:"1"){number}}`,
			`{"cancelExperiment":{"status":"SUCCEEDED"},"resumeExperiment":{"status":"SUCCEEDED"},"repeatExperiment":{"number":1}}`,
		},
		{`{experiments(kind:RUN){number error startedAt}}`, ""},
	} {
		got := strings.TrimSpace(string(post(t, url, c.query, nil)))
		if c.want != "" {
			c.want = `{"data":` + c.want + `}`
		} else if strings.Contains(got, "errors") {
			t.Errorf("%s: %s", c.query, got)
		}
		if c.want != "" && got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.query, got, c.want)
		}
	}
}
