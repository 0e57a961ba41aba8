package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/statedir"
	"github.com/nixspace/nixspace/internal/telemetry"
	"github.com/nixspace/nixspace/state/postgres/cluster"
)

func checkPostgres(ctx context.Context, cfg Config) (Finding, error) {
	b, err := cluster.FindBinaries(ctx, cfg.PGBin, 0)
	if err != nil {
		return Finding{}, err
	}
	detail := fmt.Sprintf("PostgreSQL %s in %s", b.Version, b.Dir)
	if os.Geteuid() == 0 {
		owner, err := cluster.FindOwner(filepath.Join(cfg.State, "pg", "data"))
		if err != nil {
			return Finding{}, err
		}
		detail += ", to run as " + owner.Name
	}
	return ok(detail), nil
}

// existing returns the state directory or the nearest directory above it that
// exists: where it will be made.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func checkState(_ context.Context, cfg Config) (Finding, error) {
	dir := existing(cfg.State)
	info, err := os.Stat(dir)
	if err != nil {
		return Finding{}, err
	}
	if !info.IsDir() {
		return Finding{}, nixspace.Errorf(nixspace.KindInvalid, "state_unusable", "%s is not a directory", dir).
			WithHint("choose another state directory with --state")
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return Finding{}, nixspace.Errorf(nixspace.KindInvalid, "state_unusable", "this user may not write into %s", dir).
			WithHint("choose another state directory with --state, or run this as another user")
	}
	if dir != cfg.State {
		return ok(cfg.State + " (to be made)"), nil
	}
	return ok(cfg.State), nil
}

func checkSpace(_ context.Context, cfg Config) (Finding, error) {
	free, err := statedir.Free(existing(cfg.State))
	if err != nil {
		return Finding{}, err
	}
	detail := fmt.Sprintf("%.1f GiB free for %s", float64(free)/(1<<30), cfg.State)
	const hint = "free some space, or choose another state directory with --state"
	switch {
	case free < statedir.MinFree:
		return Finding{Status: Fail, Detail: detail, Hint: hint}, nil
	case free < statedir.LowFree:
		return warn(detail, hint), nil
	}
	if store, err := statedir.Free(existing(nixspace.StoreDir)); err == nil && store < statedir.LowFree {
		return warn(fmt.Sprintf("%.1f GiB free for %s", float64(store)/(1<<30), nixspace.StoreDir), "free some space on that disk"), nil
	}
	return ok(detail), nil
}

// checkLoop looks for what an own file system for disks needs. Where there is
// none, disks are plain files.
func checkLoop(context.Context, Config) (Finding, error) {
	const less = "sessions work without; their disks are then slower to copy"
	if os.Geteuid() != 0 {
		return warn("only root can mount a file system for sessions' disks", less), nil
	}
	if _, err := os.Stat("/dev/loop-control"); errors.Is(err, fs.ErrNotExist) {
		return warn("there is no /dev/loop-control", less+"; modprobe loop may help"), nil
	} else if err != nil {
		return Finding{}, err
	}
	fss, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return Finding{}, err
	}
	if !strings.Contains(string(fss), "\txfs\n") && !moduleExists("xfs") {
		return warn("this kernel has no XFS", less), nil
	}
	return ok("loop devices and XFS"), nil
}

// moduleExists reports whether the kernel has a module that it could load.
func moduleExists(name string) bool {
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join("/lib/modules", unix.ByteSliceToString(uts.Release[:]), "modules.dep"))
	return err == nil && strings.Contains(string(b), "/"+name+".ko")
}

func checkServer(ctx context.Context, cfg Config) (Finding, error) {
	s, err := statedir.FindServer(cfg.State)
	if nixspace.ErrorCode(err) == "server_not_running" {
		return ok("not running; nixspace up starts it"), nil
	}
	if err != nil {
		return Finding{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
	if err != nil {
		return Finding{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Finding{}, nixspace.Errorf(nixspace.KindUnavailable, "server_unreachable", "the server %d at %s does not answer: %w", s.PID, s.URL, err).
			WithHint("look at its log, or stop it and start it again")
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct{ Checks []telemetry.CheckResult }
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&body); err != nil {
		return Finding{}, fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return ok("ready at " + s.URL), nil
	}
	var wrong []string
	for _, c := range body.Checks {
		if !c.OK {
			wrong = append(wrong, c.Name+": "+c.Error)
		}
	}
	return Finding{Status: Fail, Detail: "the server at " + s.URL + " is not ready: " + strings.Join(wrong, "; "), Hint: "look at its log"}, nil
}
