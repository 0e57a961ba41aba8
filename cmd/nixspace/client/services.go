package client

import (
	"context"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// ControlService starts, stops or restarts one service of a session.
func (c *Client) ControlService(ctx context.Context, session, name string, action nixspace.ServiceAction) (*Service, error) {
	var out struct{ R *Service }
	err := c.query(ctx, `mutation($s:String!,$n:String!,$a:ServiceAction!){r:controlService(session:$s,name:$n,action:$a){`+serviceFields+`}}`,
		map[string]any{"s": session, "n": name, "a": strings.ToUpper(string(action))}, &out)
	return out.R, err
}

// Egress is what a machine has reached outside of itself.
type Egress struct {
	Policy string `json:"policy"` // "full" or "allow-list"
	Open   int    `json:"open"`
	EgressCount
	Hosts []EgressHost `json:"hosts"`
	More  EgressCount  `json:"more"`
}

// EgressCount counts connections.
type EgressCount struct {
	Connections int64 `json:"connections"`
	Refused     int64 `json:"refused"`
	Failed      int64 `json:"failed"`
	Sent        int64 `json:"sent"`
	Received    int64 `json:"received"`
}

// EgressHost is what went to one host and port.
type EgressHost struct {
	Host string `json:"host"`
	EgressCount
	LastError string    `json:"lastError"`
	Last      time.Time `json:"last"`
}
