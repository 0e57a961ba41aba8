package client

import "context"

// Suggestion is one thing about an environment that could be better.
type Suggestion struct {
	Number   int      `json:"number"` // from 1; it changes with the environment
	Key      string   `json:"key"`    // the same as long as the suggestion stands
	Kind     string   `json:"kind"`
	Path     string   `json:"path"`
	Message  string   `json:"message"`
	Evidence []string `json:"evidence"`
	Edits    []Edit   `json:"edits"` // none where a person must decide
}

// Suggestions returns what could be better about an environment or version, the
// most pressing first.
func (c *Client) Suggestions(ctx context.Context, ref string) ([]Suggestion, error) {
	var out struct{ R []Suggestion }
	err := c.query(ctx, `query($ref:String!){r:suggestions(ref:$ref){number key kind path message evidence edits{op key value}}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}
