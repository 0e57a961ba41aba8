package web

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/nixspace/nixspace"
)

// artifacts sends what a run of an experiment left, as a tar.
func (h *Handler) artifacts(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	seq, err := strconv.Atoi(r.PathValue("seq"))
	if err != nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.20q is no number of a run", r.PathValue("seq")))
		return
	}
	b, err := h.cfg.App.ExperimentArtifact(r.Context(), ref, seq)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="run-%d.tar"`, seq))
	_, _ = w.Write(b)
}
