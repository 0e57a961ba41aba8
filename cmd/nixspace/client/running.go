package client

import "context"

// HibernateSession writes a session's memory to its files and ends its machine.
func (c *Client) HibernateSession(ctx context.Context, ref string) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($ref:String!){r:hibernateSession(ref:$ref){`+sessionFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// ResumeSession continues a hibernated session and returns at once.
func (c *Client) ResumeSession(ctx context.Context, ref string) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($ref:String!){r:resumeSession(ref:$ref){`+sessionFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}
