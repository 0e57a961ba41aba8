package client

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

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

const snapshotFields = `id ref name environmentRef sessionRef parent{id ref} state implicit memory consistency size shared pauseMs createdAt`

// Snapshot is the memory, devices and disk of a session.
type Snapshot struct {
	ID          nixspace.ID `json:"id"`
	Ref         string      `json:"ref"`
	Name        string      `json:"name"`
	Environment string      `json:"environmentRef"`
	Session     string      `json:"sessionRef"`
	Parent      *Identified `json:"parent"`
	State       lower       `json:"state"` // see [nixspace.SnapshotState]
	Implicit    bool        `json:"implicit"`
	Memory      bool        `json:"memory"`
	Consistency string      `json:"consistency"`
	Size        int64       `json:"size"`
	Shared      int64       `json:"shared"`
	PauseMs     float64     `json:"pauseMs"`
	CreatedAt   time.Time   `json:"createdAt"`
}

// Identified is something of which only the name and the ID are asked.
type Identified struct {
	ID  nixspace.ID `json:"id"`
	Ref string      `json:"ref"`
}

// Began is the snapshot that a session began from.
type Began struct {
	ID       nixspace.ID `json:"id"`
	Ref      string      `json:"ref"`
	Implicit bool        `json:"implicit"`
}

// TakeSnapshot takes a snapshot of a session; name may be empty.
func (c *Client) TakeSnapshot(ctx context.Context, session, name string) (*Snapshot, error) {
	var out struct{ R *Snapshot }
	err := c.query(ctx, `mutation($in:TakeSnapshotInput!){r:takeSnapshot(input:$in){`+snapshotFields+`}}`,
		map[string]any{"in": map[string]any{"session": session, "name": name}}, &out)
	return out.R, err
}

// Snapshots lists snapshots, newest first: those of an environment or session, or
// all when of is empty; those of forks only if every is true.
func (c *Client) Snapshots(ctx context.Context, of string, every bool) ([]Snapshot, error) {
	return all(func(after *string) (connection[Snapshot], error) {
		var out struct{ R connection[Snapshot] }
		err := c.query(ctx, `query($of:String,$all:Boolean,$n:Int,$after:String){r:snapshots(of:$of,all:$all,first:$n,after:$after){nodes{`+snapshotFields+`} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"of": of, "all": every, "n": pageSize, "after": after}, &out)
		return out.R, err
	})
}

// RemoveSnapshot deletes a snapshot.
func (c *Client) RemoveSnapshot(ctx context.Context, ref string) (*Snapshot, error) {
	var out struct{ R *Snapshot }
	err := c.query(ctx, `mutation($ref:String!){r:removeSnapshot(ref:$ref){`+snapshotFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// RestoreSnapshot starts a new session from a snapshot and returns at once.
func (c *Client) RestoreSnapshot(ctx context.Context, ref string, throwaway bool) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($in:RestoreSnapshotInput!){r:restoreSnapshot(input:$in){`+sessionFields+`}}`,
		map[string]any{"in": map[string]any{"ref": ref, "throwaway": throwaway}}, &out)
	return out.R, err
}

// Fork copies a session into count new ones and returns at once.
func (c *Client) Fork(ctx context.Context, session string, count int, throwaway bool) (*Snapshot, []Session, error) {
	var out struct {
		R struct {
			Snapshot *Snapshot
			Sessions []Session
		}
	}
	err := c.query(ctx, `mutation($in:ForkInput!){r:fork(input:$in){snapshot{`+snapshotFields+`} sessions{`+sessionFields+`}}}`,
		map[string]any{"in": map[string]any{"session": session, "count": count, "throwaway": throwaway}}, &out)
	return out.R.Snapshot, out.R.Sessions, err
}

// RecoverSession ends whatever is left of a session's machine.
func (c *Client) RecoverSession(ctx context.Context, ref string, force bool) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($ref:String!,$f:Boolean!){r:recoverSession(ref:$ref,force:$f){`+sessionFields+`}}`,
		map[string]any{"ref": ref, "f": force}, &out)
	return out.R, err
}

// DataBranch is a branch with its first session.
type DataBranch struct {
	Environment *Environment `json:"environment"`
	Build       *Build       `json:"build"`
	Session     *Session     `json:"session"`
	Source      *Identified  `json:"source"`
	Consistency string       `json:"consistency"` // of the copy: "clean" or "crash"
}

// BranchWithData makes an environment from another one, and starts its first
// session on a copy of the disk of session, or of the newest that has one.
func (c *Client) BranchWithData(ctx context.Context, from, name string, edits []Edit, message, session string) (*DataBranch, error) {
	var out struct{ R *DataBranch }
	err := c.query(ctx, `mutation($in:BranchInput!,$s:String!){r:branchWithData(input:$in,session:$s){environment{`+environmentFields+` head{`+headFields+`}} build{`+buildFields+`} session{`+sessionFields+`} source{id ref} consistency}}`,
		map[string]any{"in": map[string]any{"from": from, "name": name, "edits": orEmpty(edits), "message": message}, "s": session}, &out)
	return out.R, err
}

// DataMigration is what was carried over from one session's PostgreSQL to
// another one's.
type DataMigration struct {
	From      Identified `json:"from"`
	To        Identified `json:"to"`
	Databases []string   `json:"databases"`
	Tables    int        `json:"tables"`
	Rows      int64      `json:"rows"`
	Bytes     int64      `json:"bytes"`
}

// MigrateData carries the data of one session's PostgreSQL over to another one's.
func (c *Client) MigrateData(ctx context.Context, from, to string) (*DataMigration, error) {
	var out struct{ R *DataMigration }
	err := c.query(ctx, `mutation($in:MigrateDataInput!){r:migrateData(input:$in){from{id ref} to{id ref} databases tables rows bytes}}`,
		map[string]any{"in": map[string]any{"from": from, "to": to}}, &out)
	return out.R, err
}
