package client

import "context"

// UserFlake is a flake that a user brought, and what it came to.
type UserFlake struct {
	Attr  string `json:"attr"`
	Files []struct {
		Path string `json:"path"`
		Text string `json:"text"`
	} `json:"files"`
	Overrides []struct {
		Input string `json:"input"`
		By    string `json:"by"`
	} `json:"overrides"`
	Packages []struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		StorePath string `json:"storePath"`
	} `json:"packages"`
	Env []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
	Skipped []string `json:"skipped"`
}

// Texts returns its files by path.
func (f *UserFlake) Texts() map[string]string {
	out := map[string]string{}
	if f != nil {
		for _, file := range f.Files {
			out[file.Path] = file.Text
		}
	}
	return out
}

// UserFlake returns the flake that a version is made of, with the version's hash; nil
// where it is none of a user.
func (c *Client) UserFlake(ctx context.Context, ref string) (*UserFlake, string, error) {
	var out struct {
		R struct {
			Hash      string
			UserFlake *UserFlake
		}
	}
	err := c.query(ctx, `query($ref:String!){r:version(ref:$ref){hash userFlake{attr files{path text} overrides{input by} packages{name version storePath} env{name value} skipped}}}`,
		map[string]any{"ref": ref}, &out)
	return out.R.UserFlake, out.R.Hash, err
}

// FlakeManifest returns a manifest made of the flake in a folder of stored code.
func (c *Client) FlakeManifest(ctx context.Context, workspace, dir string, include []string, by map[string]string) (string, error) {
	overrides := []map[string]string{}
	for input, name := range by {
		overrides = append(overrides, map[string]string{"input": input, "by": name})
	}
	if include == nil {
		include = []string{}
	}
	var out struct{ R string }
	err := c.query(ctx, `query($in:FlakeManifestInput!){r:flakeManifest(input:$in)}`,
		map[string]any{"in": map[string]any{"workspace": workspace, "dir": dir, "include": include, "overrides": overrides}}, &out)
	return out.R, err
}

// Has reports whether the code has an environment in another tool's format.
func (d *Detection) Has(tool string) bool {
	for _, t := range d.Defined {
		if t.Tool == tool {
			return true
		}
	}
	return false
}
