// Package statedir owns the directory in which a NixSpace server keeps its
// state: it makes it, lets one server at a time use it, and tells the command
// line how to reach that server. docs/state.md describes its layout.
package statedir

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/filelock"
)

// MinFree is how many bytes must be free for a server to start: the database
// alone needs a part of that. LowFree is where a person should be warned: a first
// environment with its packages and images takes about as much.
const (
	MinFree = 256 << 20
	LowFree = 5 << 30
)

// Dir is a state directory that this process has locked. Close it after use.
type Dir struct {
	path    string
	runtime string
	id      string
	lock    *filelock.Lock
}

// Server says how to reach the server that uses a state directory.
type Server struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

// holder is what the lock file tells about the server that holds it.
type holder struct {
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Command string    `json:"command"`
}

// Open makes the directory at path, if it does not exist, and locks it for this
// process until Close. The lock also ends with the process, however it ends.
//
// It fails with code "state_locked" when another server has it, with
// "state_unusable" when path cannot be a state directory, and with "disk_full"
// when there is too little space to begin.
func Open(path string) (_ *Dir, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the state directory: %w", err)
	}
	if err := create(path); err != nil {
		return nil, err
	}
	d := &Dir{path: path}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.lock.Unlock() // the first error is the one to tell
		}
	}()
	if err := d.checkSpace(); err != nil {
		return nil, err
	}
	if d.id, err = d.identity(); err != nil {
		return nil, explain(err, path)
	}
	if d.runtime, err = d.makeRuntime(); err != nil {
		return nil, err
	}
	// Left by a server that was killed; it names nobody any more.
	if err := removeFile(d.Path("server.json")); err != nil {
		return nil, err
	}
	return d, nil
}

// create makes the directory. Under root others may pass through it, because
// PostgreSQL and the machines run as other users; they cannot list it.
func create(path string) error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return explain(err, path)
	}
	err := os.Mkdir(path, mode)
	switch {
	case err == nil:
		return os.Chmod(path, mode) // the umask may have taken something away
	case !errors.Is(err, fs.ErrExist):
		return explain(err, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return explain(err, path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return nixspace.Errorf(nixspace.KindInvalid, "state_unusable", "%s is not a directory", path).
			WithHint("choose another state directory with --state")
	case ok && st.Uid != uint32(os.Geteuid()):
		return nixspace.Errorf(nixspace.KindInvalid, "state_unusable", "the state directory %s belongs to another user", path).
			WithHint("run nixspace as its owner, or choose another one with --state")
	case info.Mode().Perm()&0o022 != 0:
		return nixspace.Errorf(nixspace.KindInvalid, "state_unusable", "other users may write into the state directory %s (mode %04o)", path, info.Mode().Perm()).
			WithHint("forbid it with: chmod go-w %s", path)
	case mode == 0o711 && info.Mode().Perm()&0o001 == 0:
		return explain(os.Chmod(path, info.Mode().Perm()|0o111), path)
	}
	return nil
}

// instant is how long another's look at the lock may take, on a loaded machine.
const instant = 500 * time.Millisecond

// acquire takes the lock, or says who has it.
func (d *Dir) acquire() error {
	// FindServer holds it for an instant to see whether somebody else does.
	soon, cancel := context.WithTimeoutCause(context.Background(), instant, filelock.ErrLocked)
	defer cancel()
	lock, err := filelock.Wait(soon, d.Path("lock"))
	if errors.Is(err, filelock.ErrLocked) {
		return d.locked()
	}
	if err != nil {
		return explain(err, d.path)
	}
	f := lock.File()
	h := holder{PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second), Command: strings.Join(os.Args, " ")}
	b, err := json.Marshal(h)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
	}
	if err != nil {
		return explain(errors.Join(err, lock.Unlock()), d.path)
	}
	d.lock = lock
	return nil
}

func (d *Dir) locked() error {
	e := nixspace.Errorf(nixspace.KindConflict, "state_locked", "another server uses the state directory %s", d.path).
		WithHint("choose another one with --state")
	// The holder may be writing this very moment; who it is, is a help, no more.
	var h holder
	b, err := os.ReadFile(d.Path("lock"))
	if err != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 {
		return e
	}
	e.Message = fmt.Sprintf("the server with process number %d uses the state directory %s since %s", h.PID, d.path, h.Since.Local().Format("2006-01-02 15:04:05"))
	return e.WithHint("use that one, stop it with: kill %d, or choose another state directory with --state", h.PID).
		WithDetail("pid", h.PID)
}

// Close unlocks the directory, and removes what tells of the server.
func (d *Dir) Close() error {
	err := removeFile(d.Path("server.json"))
	// What is empty goes; what holds the socket of something that runs on stays.
	entries, _ := os.ReadDir(d.runtime)
	for _, e := range entries {
		if e.IsDir() {
			_ = os.Remove(filepath.Join(d.runtime, e.Name()))
		}
	}
	_ = os.Remove(d.runtime)
	return errors.Join(err, d.lock.Unlock())
}

// Path returns the absolute path of name in the directory; without a name, of
// the directory.
func (d *Dir) Path(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// Runtime returns a directory whose path is short enough for sockets to live in.
func (d *Dir) Runtime() string { return d.runtime }

// ID returns the random name of the directory, the same as long as it exists.
func (d *Dir) ID() string { return d.id }

// Announce tells the command line of this user how to reach the server.
func (d *Dir) Announce(s Server) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write server.json: %w", err)
	}
	return explain(writeFile(d.Path("server.json"), append(b, '\n')), d.path)
}

// FindServer returns how to reach the server that uses the directory at path. It
// fails with code "server_not_running" when there is none.
func FindServer(path string) (Server, error) {
	none := nixspace.Errorf(nixspace.KindUnavailable, "server_not_running", "no server uses the state directory %s", path).
		WithHint("start one with: nixspace up, or name another with --state or --url")
	b, err := os.ReadFile(filepath.Join(path, "server.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Server{}, none
	}
	if errors.Is(err, fs.ErrPermission) {
		return Server{}, nixspace.Errorf(nixspace.KindForbidden, "server_not_yours", "the server of the state directory %s belongs to another user", path).
			WithHint("run this as that user, or give NIXSPACE_URL and NIXSPACE_TOKEN")
	}
	if err != nil {
		return Server{}, fmt.Errorf("read server.json: %w", err)
	}
	var s Server
	if err := json.Unmarshal(b, &s); err != nil || s.URL == "" {
		return Server{}, none
	}
	// A server that was killed leaves the file, but not the lock.
	if held, err := filelock.Held(filepath.Join(path, "lock")); err != nil || !held {
		return Server{}, none
	}
	return s, nil
}

// Free returns how many bytes an unprivileged user can still write below path.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (d *Dir) checkSpace() error {
	free, err := Free(d.path)
	if err != nil {
		return err
	}
	if free < MinFree {
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "only %d MiB are free on the disk of the state directory %s, and %d MiB are needed",
			free>>20, d.path, MinFree>>20).WithHint("free some space, or choose another state directory with --state")
	}
	return nil
}

// identity reads the directory's random name, or gives it one.
func (d *Dir) identity() (string, error) {
	b, err := os.ReadFile(d.Path("id"))
	if err == nil {
		if id := nixspace.ID(strings.TrimSpace(string(b))); id.Valid() {
			return string(id), nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := nixspace.NewID()
	return string(id), writeFile(d.Path("id"), []byte(string(id)+"\n"))
}

// Secret returns 32 random bytes that this directory keeps under a name, the same
// as long as it exists. Where the file holds something else it fails with code
// "secret_damaged": what was encrypted with the key would be lost with a new one.
func (d *Dir) Secret(name string) ([]byte, error) {
	b, err := os.ReadFile(d.Path(name))
	if err == nil {
		if key, err := hex.DecodeString(strings.TrimSpace(string(b))); err == nil && len(key) == 32 {
			return key, nil
		}
		return nil, nixspace.Errorf(nixspace.KindInvalid, "secret_damaged", "%s holds no key", d.Path(name)).
			WithHint("bring it back from a backup; moving it away makes a new one, and what was encrypted or signed with the old one is of no use any more")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, explain(err, d.path)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return key, explain(writeFile(d.Path(name), []byte(hex.EncodeToString(key)+"\n")), d.path)
}

// makeRuntime makes the directory for sockets, which is empty after a restart of
// the machine, and writes its path to the file runtime.
func (d *Dir) makeRuntime() (string, error) {
	sum := sha256.Sum256([]byte(d.path))
	name := "nixspace-" + hex.EncodeToString(sum[:5])
	var errs []error
	for _, parent := range runtimeParents() {
		dir := filepath.Join(parent, name)
		if err := makeOwn(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, explain(writeFile(d.Path("runtime"), []byte(dir+"\n")), d.path)
	}
	return "", nixspace.Errorf(nixspace.KindUnavailable, "runtime_dir", "there is no place for sockets: %w", errors.Join(errs...)).
		WithHint("set XDG_RUNTIME_DIR to a directory of your own with a short path")
}

func runtimeParents() []string {
	if os.Geteuid() == 0 {
		return []string{"/run", "/tmp"}
	}
	var parents []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && len(dir) < 40 {
		parents = append(parents, dir)
	}
	// The user's number keeps two users' directories of one name apart.
	return append(parents, "/tmp/nixspace-"+strconv.Itoa(os.Getuid()))
}

// makeOwn makes a directory that belongs to us and that nobody else can write.
// In /tmp somebody else may have made it first.
func makeOwn(dir string) error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if parent := filepath.Dir(dir); strings.HasPrefix(parent, "/tmp/") {
		if err := makeOwn(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s is not a directory of ours", dir)
	}
	return os.Chmod(dir, mode)
}

// Wait returns when no server holds the lock of the directory at path, or when
// ctx ends. It is for whoever asked a server to stop.
func Wait(ctx context.Context, path string) error {
	err := filelock.WaitFree(ctx, filepath.Join(path, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
