package pgcluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/volume"
)

// server is PostgreSQL on this host, as a user without rights.
type server struct {
	t        *testing.T
	bin, dir string
	sys      *syscall.SysProcAttr
}

func newServer(t *testing.T) *server {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("NOT TESTED: there is no PostgreSQL server on this machine")
	}
	dir, err := os.MkdirTemp("/tmp", "nixspace-pg-") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, bin: filepath.Dir(found[len(found)-1]), dir: dir, sys: &syscall.SysProcAttr{}}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		s.sys.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return s
}

func (s *server) run(name string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = s.dir, s.sys, append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+s.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// Disks that begin with one cluster have identifiers of their own, and PostgreSQL
// starts on each.
func TestRenewer(t *testing.T) {
	s := newServer(t)
	tree := filepath.Join(s.dir, "seed")
	s.run("initdb", "--pgdata="+tree, "--username=dev", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	first := s.identifier(tree)
	finish, err := Renewer(tree, "/data/postgresql")
	if err != nil {
		t.Fatal(err)
	}
	pool := volume.At(t.TempDir())
	seed := &volume.Seed{Key: "k", Trees: []volume.Tree{{From: tree, To: "/data/postgresql"}}, UID: 1000, GID: 1000, Finish: finish}
	seen := map[string]bool{first: true}
	for i := range 2 {
		disk, _, err := pool.Create(t.Context(), nixspace.NewID(), 256, seed)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v: %s", err, out)
		}
		out, err := exec.Command("debugfs", "-R", "stat /data/postgresql/global/pg_control", disk).CombinedOutput()
		if text := strings.Join(strings.Fields(string(out)), " "); err != nil || !strings.Contains(text, "Mode: 0600") || !strings.Contains(text, "User: 1000 Group: 1000") {
			t.Errorf("%v: %s", err, text)
		}
		// As a guest would find it, but for its place.
		copied := filepath.Join(s.dir, fmt.Sprintf("copy%d", i))
		if err := os.Mkdir(copied, 0o777); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("debugfs", "-R", "rdump /data/postgresql "+copied, disk).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		data := filepath.Join(copied, "postgresql")
		if c := s.sys.Credential; c != nil {
			err := filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Chown(path, int(c.Uid), int(c.Gid))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		id := s.identifier(data)
		if seen[id] {
			t.Errorf("cluster %d has the identifier %s, which there is already", i, id)
		}
		seen[id] = true
		log := filepath.Join(s.dir, "log")
		s.run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "300", "-o", "-k "+s.dir+" -c listen_addresses= -c port="+strconv.Itoa(6000+i), "start")
		got := s.run("psql", "-XAtq", "-h", s.dir, "-p", strconv.Itoa(6000+i), "-U", "dev", "-d", "postgres", "-c",
			"create table t (n int); insert into t values (1); checkpoint; select system_identifier || ' ' || (select count(*) from t) from pg_control_system()")
		if got != id+" 1" {
			t.Errorf("PostgreSQL says %q, want %s 1", got, id)
		}
		s.run("pg_ctl", "-D", data, "-m", "fast", "-w", "-t", "300", "stop")
	}
}

func (s *server) identifier(data string) string {
	s.t.Helper()
	for line := range strings.Lines(s.run("pg_controldata", data)) {
		if v, ok := strings.CutPrefix(line, "Database system identifier:"); ok {
			return strings.TrimSpace(v)
		}
	}
	s.t.Fatal("pg_controldata names no identifier")
	return ""
}

// What is not as expected is refused, with nothing changed.
func TestRenewRefuses(t *testing.T) {
	control := make([]byte, controlSize)
	binary.LittleEndian.PutUint64(control, 7)
	binary.LittleEndian.PutUint32(control[288:], crc32.Checksum(control[:288], castagnoli))
	wal := make([]byte, 512)
	binary.LittleEndian.PutUint16(wal[2:], longHeader)
	binary.LittleEndian.PutUint64(wal[walSystemID:], 7)
	for name, damage := range map[string]func(control, wal []byte){
		"nothing wrong":        func(_, _ []byte) {},
		"a damaged control":    func(c, _ []byte) { c[20]++ },
		"no control":           func(c, _ []byte) { clear(c) },
		"a log of another one": func(_, w []byte) { w[walSystemID]++ },
		"no log":               func(_, w []byte) { clear(w) },
	} {
		c, w := bytes.Clone(control), bytes.Clone(wal)
		damage(c, w)
		f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before := append(bytes.Clone(c), w...)
		if _, err := f.Write(before); err != nil {
			t.Fatal(err)
		}
		err = renew(f, 0, []int64{controlSize}, 9)
		after, rerr := os.ReadFile(f.Name())
		if rerr != nil {
			t.Fatal(rerr)
		}
		if name == "nothing wrong" {
			if err != nil || binary.LittleEndian.Uint64(after) != 9 || checksumAt(after[:controlSize]) != 288 {
				t.Errorf("%v: %x", err, after[:8])
			}
			continue
		}
		if err == nil || !bytes.Equal(before, after) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, b := newID(time.Unix(1, 0)), newID(time.Unix(1, 0)); a == b || a>>32 != 1 {
		t.Errorf("identifiers %x and %x", a, b)
	}
	if _, err := Renewer(t.TempDir(), "/data/postgresql"); err == nil {
		t.Error("a cluster without a log is taken")
	}
}
