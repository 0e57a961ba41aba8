package guest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// initialise makes the directories and runs Init where it did not succeed yet.
func (sv *service) initialise(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(sv.ctx, deadline)
	defer cancel()
	dirs := append([]nixspace.ServiceDir{{Path: sv.dir(), Mode: 0o755}}, sv.spec.Dirs...)
	for _, d := range dirs {
		err := sv.agent.asDev(func() error { return makeDir(d) })
		if errors.Is(err, fs.ErrPermission) {
			// Such as a directory in /run, which only the agent may make.
			err = sv.agent.makeDirFor(d)
		}
		if err != nil {
			return fmt.Errorf("its directory cannot be made: %w", err)
		}
	}
	if err := sv.writeFiles(); err != nil {
		return err
	}
	if err := sv.runOnce(ctx, sv.spec.Init, sv.marker("init")); err != nil {
		return fmt.Errorf("its initialisation failed: %w", err)
	}
	return nil
}

// marker returns the file that remembers that Init, or After, succeeded. That of
// After goes by what it does: the data may be from an earlier manifest.
func (sv *service) marker(stage string) string {
	switch {
	case sv.spec.InitDone == "":
		return filepath.Join(sv.agent.path("/data"), ".nixspace", sv.spec.Name+"."+stage)
	case stage == "init":
		return sv.spec.InitDone
	default:
		return sv.spec.InitDone + "." + stage
	}
}

// digest tells lists of commands apart.
func digest(commands [][]string) string {
	b, _ := json.Marshal(commands) // lists of texts can always be written
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// runOnce runs commands, unless they succeeded before.
func (sv *service) runOnce(ctx context.Context, commands [][]string, marker string) error {
	if len(commands) == 0 {
		return nil
	}
	err := sv.agent.asDev(func() error { _, err := os.Stat(marker); return err })
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, argv := range commands {
		if err := sv.runCommand(ctx, argv); err != nil {
			return err
		}
	}
	return sv.agent.asDev(func() error {
		if _, err := os.Stat(marker); err == nil {
			return nil // a command made it
		}
		return writeAnew(marker, "")
	})
}

// runCommand runs one command to its end.
func (sv *service) runCommand(ctx context.Context, argv []string) error {
	if ctx.Err() != nil {
		return sv.outOfTime(argv)
	}
	p, err := sv.start(argv)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signal(unix.SIGKILL)
		<-p.done
		return sv.outOfTime(argv)
	}
	if p.exitCode() != 0 {
		return fmt.Errorf("%s %s", filepath.Base(argv[0]), p.describe())
	}
	return nil
}

func (sv *service) outOfTime(argv []string) error {
	if sv.ctx.Err() != nil {
		return errGaveUp
	}
	return fmt.Errorf("%s was not done in %v", filepath.Base(argv[0]), sv.timeout)
}

func (sv *service) dir() string {
	if sv.spec.Dir != "" {
		return sv.spec.Dir
	}
	return filepath.Join(sv.agent.path("/data"), sv.spec.Name)
}
