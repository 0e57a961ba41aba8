package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/nixspace/nixspace"
)

// ExportOptions say what is to be in the file.
type ExportOptions struct {
	Closure bool // the store paths that it needs to run
	History int  // how many versions; 0 for all
	NoCode  bool // leave the project's code out
}

// Export streams an environment as a file, and returns the name that the server
// suggests for it. A file that broke off is not complete to whoever reads it. The
// caller closes it.
func (c *Client) Export(ctx context.Context, ref string, o ExportOptions) (file io.ReadCloser, name string, err error) {
	q := url.Values{"ref": {ref}}
	if o.Closure {
		q.Set("closure", "1")
	}
	if o.NoCode {
		q.Set("noCode", "1")
	}
	if o.History > 0 {
		q.Set("history", strconv.Itoa(o.History))
	}
	res, err := c.get(ctx, c.endpoint("/api/v1/export?"+q.Encode()))
	if err != nil {
		return nil, "", err
	}
	_, params, _ := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
	return res.Body, params["filename"], nil
}

// Imported is what an import made.
type Imported struct {
	Outcome     string      `json:"outcome"` // created, fast_forward or up_to_date
	Environment string      `json:"environment"`
	Version     string      `json:"version"`
	Build       nixspace.ID `json:"build"`
	Versions    int         `json:"versions"` // that were new
	Paths       int         `json:"paths"`    // that were new
}

// Import makes an environment out of a file.
func (c *Client) Import(ctx context.Context, file io.Reader, as string, trust bool) (*Imported, error) {
	q := url.Values{}
	if as != "" {
		q.Set("as", as)
	}
	if trust {
		q.Set("trust", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.endpoint("/api/v1/imports?"+q.Encode()), file)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	req.Header.Set("Content-Type", "application/octet-stream")
	// A server that will not take it says so before it is sent.
	req.Header.Set("Expect", "100-continue")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return nil, c.readProblem(res)
	}
	var out Imported
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&out); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return &out, nil
}
