package archive

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// FileError says what a failed file operation means.
func FileError(what string, err error) error {
	var known *nixspace.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the machine's disk is full: %w", err).
			WithHint("remove files, or give the environment a larger disk")
	case errors.Is(err, fs.ErrNotExist):
		return nixspace.Errorf(nixspace.KindNotFound, "file_not_found", "%s: %w", what, err)
	case errors.Is(err, fs.ErrPermission):
		return nixspace.Errorf(nixspace.KindForbidden, "file_forbidden", "%s: %w", what, err)
	}
	return nixspace.Errorf(nixspace.KindInvalid, "file_failed", "%s: %w", what, err)
}

// Error is an error of an archive itself.
func Error(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindInvalid, "archive_invalid", "the archive cannot be unpacked: "+format, args...)
}
