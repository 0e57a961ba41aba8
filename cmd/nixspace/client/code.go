package client

import (
	"context"
)

// Code is what sessions of an environment find in /workspace.
type Code struct {
	Workspace string `json:"workspace"`
	Source    string `json:"source"`
	Commit    string `json:"commit"`
	// Origin says what to fetch to get it anew; nil for what somebody sent.
	Origin *struct {
		Source     string `json:"source"`
		Ref        string `json:"ref"`
		Dir        string `json:"dir"`
		Submodules bool   `json:"submodules"`
	} `json:"origin"`
}

const codeFields = `workspace source commit origin{source ref dir submodules}`

// AddEnvironment makes an environment in a project that there is. Workspace and
// manifest may be empty, as with CreateProject.
func (c *Client) AddEnvironment(ctx context.Context, project, name, source, workspace, manifest, message string) (*Project, *Environment, *Build, error) {
	var out struct {
		R struct {
			Project     *Project
			Environment *Environment
			Build       *Build
		}
	}
	err := c.query(ctx, `mutation($in:AddEnvironmentInput!){r:addEnvironment(input:$in){project{`+projectFields+`} environment{`+environmentFields+` head{`+headFields+`}} build{`+buildFields+`}}}`,
		map[string]any{"in": map[string]any{"project": project, "name": name, "source": source, "workspace": workspace, "manifest": manifest, "message": message}}, &out)
	return out.R.Project, out.R.Environment, out.R.Build, err
}

// EnvironmentCode returns the name and the code of an environment.
func (c *Client) EnvironmentCode(ctx context.Context, ref string) (string, *Code, error) {
	var out struct {
		R struct {
			Ref  string
			Code *Code
		}
	}
	err := c.query(ctx, `query($ref:String!){r:environment(ref:$ref){ref code{`+codeFields+`}}}`, map[string]any{"ref": ref}, &out)
	return out.R.Ref, out.R.Code, err
}

// ChangeCode gives an environment other code.
func (c *Client) ChangeCode(ctx context.Context, ref, workspace, source string) (*Code, error) {
	var out struct{ R struct{ Code *Code } }
	err := c.query(ctx, `mutation($in:ChangeCodeInput!){r:changeCode(input:$in){code{`+codeFields+`}}}`,
		map[string]any{"in": map[string]any{"ref": ref, "workspace": workspace, "source": source}}, &out)
	return out.R.Code, err
}
