package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/nixspace/nixspace"
)

// Experiment is a command that is run on several versions.
type Experiment struct {
	ID         nixspace.ID         `json:"id"`
	Number     int64               `json:"number"`
	Kind       lower               `json:"kind"`
	Status     lower               `json:"status"`
	Error      string              `json:"error"`
	ErrorCode  string              `json:"errorCode"`
	Author     string              `json:"author"`
	CreatedAt  time.Time           `json:"createdAt"`
	FinishedAt *time.Time          `json:"finishedAt"`
	Subjects   []ExperimentSubject `json:"subjects"`
	Axes       []ExperimentAxis    `json:"axes"`
	Command    []string            `json:"command"`
	Parallel   int                 `json:"parallel"`
	Spec       json.RawMessage     `json:"spec,omitempty"`
	Answer     json.RawMessage     `json:"answer"`
	Runs       []ExperimentRun     `json:"runs,omitempty"`
}

// ExperimentSubject is one of its versions.
type ExperimentSubject struct {
	Label  string            `json:"label"`
	Hash   string            `json:"hash"`
	Values map[string]string `json:"values,omitempty"`
}

// ExperimentAxis is a key of the manifest and the values that it takes.
type ExperimentAxis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// ExperimentRun is one run of its command.
type ExperimentRun struct {
	Seq         int             `json:"seq"`
	Key         string          `json:"key"`
	Subject     string          `json:"subject"`
	VersionHash string          `json:"versionHash"`
	Status      lower           `json:"status"`
	ExitCode    *int            `json:"exitCode"`
	Error       string          `json:"error"`
	ErrorCode   string          `json:"errorCode"`
	Usage       *Usage          `json:"usage"`
	Report      json.RawMessage `json:"report,omitempty"`
	Stdout      string          `json:"stdout,omitempty"`
	Stderr      string          `json:"stderr,omitempty"`
	Truncated   bool            `json:"truncated"`
	HasArtifact bool            `json:"hasArtifact"`
	StartedAt   time.Time       `json:"startedAt"`
	FinishedAt  *time.Time      `json:"finishedAt"`
}

// Usage is what a command used: seconds and bytes.
type Usage struct {
	Wall    float64 `json:"wall"`
	User    float64 `json:"user"`
	System  float64 `json:"system"`
	Memory  int64   `json:"memory"`
	Read    int64   `json:"read"`
	Written int64   `json:"written"`
}

// ExperimentUpdate is one piece of news about an experiment.
type ExperimentUpdate struct {
	Experiment *Experiment    `json:"experiment"`
	Run        *ExperimentRun `json:"run"`
	Output     *struct {
		Key     string `json:"key"`
		Subject string `json:"subject"`
		Stderr  bool   `json:"stderr"`
		Text    string `json:"text"`
	} `json:"output"`
}

// StartExperiment asks for one; see the API's input of that name.
type StartExperiment struct {
	Kind       string           `json:"kind"`
	Refs       []string         `json:"refs,omitempty"`
	Axes       []ExperimentAxis `json:"axes,omitempty"`
	Command    []string         `json:"command,omitempty"`
	Script     string           `json:"script,omitempty"`
	Env        []string         `json:"env,omitempty"`
	Dir        string           `json:"dir,omitempty"`
	Setup      []string         `json:"setup,omitempty"`
	Timeout    int              `json:"timeout,omitempty"`
	Parallel   int              `json:"parallel,omitempty"`
	Artifacts  []string         `json:"artifacts,omitempty"`
	Numbers    []string         `json:"numbers,omitempty"`
	Confidence float64          `json:"confidence,omitempty"`
	Precision  float64          `json:"precision,omitempty"`
	MinRuns    int              `json:"minRuns,omitempty"`
	MaxRuns    int              `json:"maxRuns,omitempty"`
	Warmups    int              `json:"warmups,omitempty"`
	Seed       int64            `json:"seed,omitempty"`
	Good       []string         `json:"good,omitempty"`
	Bad        string           `json:"bad,omitempty"`
	Verify     bool             `json:"verify,omitempty"`
	Checks     []string         `json:"checks,omitempty"`
	Packages   []string         `json:"packages,omitempty"`
}

const (
	runFields        = `seq key subject versionHash status exitCode error errorCode usage{wall user system memory read written} truncated hasArtifact startedAt finishedAt`
	experimentFields = `id number kind status error errorCode author createdAt finishedAt subjects{label hash values} axes{key values} command parallel answer`
)

// StartExperiment starts an experiment.
func (c *Client) StartExperiment(ctx context.Context, in StartExperiment) (*Experiment, error) {
	var out struct{ R *Experiment }
	err := c.query(ctx, `mutation($in:StartExperimentInput!){r:startExperiment(input:$in){`+experimentFields+`}}`, map[string]any{"in": in}, &out)
	return out.R, err
}

// Experiments lists experiments, newest first; of one kind, or all.
func (c *Client) Experiments(ctx context.Context, kind string, limit int) ([]Experiment, error) {
	var out struct{ R []Experiment }
	vars := map[string]any{"n": limit}
	if kind != "" {
		vars["k"] = kind
	}
	err := c.query(ctx, `query($k:ExperimentKind,$n:Int){r:experiments(kind:$k,first:$n){`+experimentFields+`}}`, vars, &out)
	return out.R, err
}

// Experiment returns one with its runs; with what their output says if full.
func (c *Client) Experiment(ctx context.Context, ref string, full bool) (*Experiment, error) {
	fields := experimentFields + ` spec runs{` + runFields + `}`
	if full {
		fields = experimentFields + ` spec runs{` + runFields + ` report}`
	}
	var out struct{ R *Experiment }
	if err := c.query(ctx, `query($r:String!){r:experiment(ref:$r){`+fields+`}}`, map[string]any{"r": ref}, &out); err != nil {
		return nil, err
	}
	if out.R == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "experiment_unknown", "there is no experiment %s", ref).
			WithHint("see them with `nixspace experiments`")
	}
	return out.R, nil
}

// ExperimentRun returns one run with its output.
func (c *Client) ExperimentRun(ctx context.Context, ref string, seq int) (*ExperimentRun, error) {
	var out struct {
		R *struct{ Run *ExperimentRun }
	}
	err := c.query(ctx, `query($r:String!,$n:Int!){r:experiment(ref:$r){run(seq:$n){`+runFields+` report stdout stderr}}}`, map[string]any{"r": ref, "n": seq}, &out)
	if err != nil {
		return nil, err
	}
	if out.R == nil || out.R.Run == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "run_unknown", "experiment %s has no run %d", ref, seq)
	}
	return out.R.Run, nil
}

// ChangeExperiment cancels, resumes or repeats one.
func (c *Client) ChangeExperiment(ctx context.Context, verb, ref string) (*Experiment, error) {
	var out struct{ R *Experiment }
	err := c.query(ctx, `mutation($r:String!){r:`+verb+`Experiment(ref:$r){`+experimentFields+`}}`, map[string]any{"r": ref}, &out)
	return out.R, err
}

// RemoveExperiment deletes one that has ended.
func (c *Client) RemoveExperiment(ctx context.Context, ref string) (*Experiment, error) {
	var out struct{ R *Experiment }
	err := c.query(ctx, `mutation($r:String!){r:removeExperiment(ref:$r){id number kind status}}`, map[string]any{"r": ref}, &out)
	return out.R, err
}

// WatchExperiment calls f for all news of an experiment until it has ended.
func (c *Client) WatchExperiment(ctx context.Context, ref string, f func(ExperimentUpdate) error) error {
	return subscribe(ctx, c, `subscription($r:String!){r:experimentUpdates(ref:$r){experiment{`+experimentFields+`} run{`+runFields+`} output{key subject stderr text}}}`,
		map[string]any{"r": ref}, f)
}

// ExperimentArtifact returns the tar of what a run left; the caller closes it.
func (c *Client) ExperimentArtifact(ctx context.Context, ref string, seq int) (io.ReadCloser, error) {
	return c.stream(ctx, c.endpoint(fmt.Sprintf("/api/v1/experiments/%s/runs/%d/artifacts", url.PathEscape(ref), seq)))
}
