package work

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// RecordLimit bounds the writes that record an outcome after its context ended.
const RecordLimit = 10 * time.Second

// Explain returns what people and programs are told of a failure. The text of a
// defect goes to the log only.
func Explain(log *slog.Logger, doing string, err error) (text, code string) {
	text, code, known := explain(err)
	if !known {
		log.Error(doing, "error", err)
	}
	return text, code
}

func explain(err error) (text, code string, known bool) {
	var e *nixspace.Error
	if errors.As(err, &e) {
		return records.CleanText(e.Error()), e.Code, true
	}
	return "NixSpace made a mistake; its log says more", "internal", false
}
