package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/transfer"
	"github.com/nixspace/nixspace/env/bundle"
)

// export streams an environment as a file.
func (h *Handler) export(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := transfer.ExportQuery{Ref: q.Get("ref"), Closure: isTrue(q.Get("closure")), NoCode: isTrue(q.Get("noCode"))}
	if n := q.Get("history"); n != "" {
		var err error
		if in.History, err = strconv.Atoi(n); err != nil || in.History < 1 {
			h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "history_invalid", "%.20q is no number of versions", n))
			return
		}
	}
	x, err := h.cfg.App.Export(r.Context(), in)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/zstd")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%.8s.nixspace"`, x.Project, x.Environment, x.Version.VersionHash))
	if _, err := x.Write(r.Context(), w); err != nil {
		if r.Context().Err() == nil {
			h.cfg.Log.ErrorContext(r.Context(), "an export broke off", "ref", x.Ref, "err", err)
		}
		panic(http.ErrAbortHandler) // the client must not take this for the end
	}
}

func isTrue(s string) bool { return s == "1" || s == "true" }

// putImport makes an environment out of the file that is the request's body.
func (h *Handler) putImport(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > h.cfg.MaxImport {
		h.fail(w, r, &http.MaxBytesError{Limit: h.cfg.MaxImport})
		return
	}
	file, err := h.spool(http.MaxBytesReader(w, r.Body, h.cfg.MaxImport))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer file.Close()
	q := r.URL.Query()
	got, err := h.cfg.App.Import(r.Context(), file, transfer.ImportQuery{
		As: q.Get("as"), Trust: isTrue(q.Get("trust")),
		// What is unpacked is bounded by what was sent, as code and programs shrink.
		Limits: bundle.Limits{Unpacked: 8 * h.cfg.MaxImport},
	})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		Outcome     transfer.ImportOutcome `json:"outcome"`
		Environment string                 `json:"environment"`
		Version     string                 `json:"version"`
		Build       nixspace.ID            `json:"build"`
		Versions    int                    `json:"versions"`
		Paths       int                    `json:"paths"`
	}{got.Outcome, got.Environment.Ref(), got.Version.VersionHash, got.Build.ID, got.Versions, got.Paths})
}

// spool keeps a body in a file without a name, which is gone when it is closed,
// whatever happens to this process.
func (h *Handler) spool(body io.Reader) (*os.File, error) {
	f, err := os.CreateTemp(h.cfg.Spool, "import-*")
	if err != nil {
		return nil, fmt.Errorf("receive a file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("receive a file: %w", err), f.Close())
	}
	if _, err := io.Copy(f, body); err != nil {
		_ = f.Close() // it is of no use
		return nil, fmt.Errorf("receive a file: %w", err)
	}
	return f, nil
}
