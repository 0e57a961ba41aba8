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
	var known *nixspace.Error
	if errors.As(err, &known) {
		return records.CleanText(known.Error()), known.Code
	}
	log.Error(doing, "error", err)
	return "NixSpace made a mistake; its log says more", "internal"
}
