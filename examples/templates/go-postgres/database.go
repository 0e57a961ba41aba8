package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// query runs SQL. Values stand in it as :'name', which psql quotes.
//
// It goes through psql, which is there with the server, so that nothing must be
// downloaded to begin with. In its place, once there is a network:
// go get github.com/jackc/pgx/v5
func query(ctx context.Context, sql string, values map[string]string) ([]byte, error) {
	args := []string{"--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"}
	for name, value := range values {
		args = append(args, "--set", name+"="+value)
	}
	cmd := exec.CommandContext(ctx, "psql", args...)
	var out, problem bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(sql), &out, &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask the database: %w: %s", err, bytes.TrimSpace(problem.Bytes()))
	}
	return out.Bytes(), nil
}

// rows runs a query that returns rows, each as JSON of a T.
func rows[T any](ctx context.Context, sql string, values map[string]string) ([]T, error) {
	out, err := query(ctx, "WITH q AS ("+sql+") SELECT row_to_json(q) FROM q;", values)
	if err != nil {
		return nil, err
	}
	found := []T{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var row T
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		found = append(found, row)
	}
	return found, nil
}
