//go:build system

package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const toolsManifest = `schema = 1

[packages]
nodejs = "22"
postgresql = "15"
redis = "*"
git = "*"
vim = "*"
nano = "*"
python3 = "*"
gcc = "*"
gnumake = "*"
curl = "*"
openssh = "*"
jq = "*"
ripgrep = "*"

[services.postgresql]
databases = ["shop"]
[services.postgresql.settings]
max_connections = 33

[services.redis]
[services.redis.settings]
appendonly = true
maxmemory = "32mb"

[env]
NODE_ENV = "development"

[resources]
memory = "1GiB"
disk = "2GiB"
`

const hello = `#include <stdio.h>
#include <math.h>
int main(int argc, char **argv) { printf("hello %.0f\n", sqrt(1764.0 * argc)); return 0; }
`

// TestGuest looks at what a machine offers to the programs in it: the tools of
// the environment at work, services against real servers, and what those find
// who look in the usual places.
func TestGuest(t *testing.T) {
	state := stateDir(t)
	s := up(t, state, "--no-quickstart")
	dir := t.TempDir()
	for name, text := range map[string]string{"nixspace.toml": toolsManifest, "hello.c": hello} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, state, "create", "tools", dir)
	ok(t, state, "start", "tools")
	for _, c := range []struct {
		name, script, want string // the output must begin with want
	}{
		{"variables of the base system", `for v in LOCPATH/lib/locale TERMINFO_DIRS/share/terminfo SSL_CERT_FILE/etc/ssl/certs/ca-bundle.crt; do
			name=${v%%/*}; value=$(eval echo \$$name)
			case $value in /nix/store/*-nixspace-base/${v#*/}) test -e "$value" && echo -n "$name " ;; *) echo "$name is $value" ;; esac
		done`, "LOCPATH TERMINFO_DIRS SSL_CERT_FILE"},
		{"certificates", `grep -c 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt | awk '{ print ($1 > 50) }'; [ "$(readlink -f /etc/ssl/certs/ca-bundle.crt)" = "$(readlink -f "$SSL_CERT_FILE")" ] && echo same`, "1\nsame"},
		{"the locale", `echo $LANG; LC_ALL=C.UTF-8 awk 'BEGIN { print length("ähm") }'; printf 'ä' | LC_ALL=C.UTF-8 grep -c '^.$'`, "C.UTF-8\n3\n1"},
		{"who and where", `id -un; pwd; echo "$HOME $NODE_ENV"; cat /etc/hostname; test -w /workspace && test -w /data && echo writable`, "dev\n/workspace\n/home/dev development\ntools-1"},
		{"programs of other systems find the linker", `test -x /lib64/ld-linux-x86-64.so.2 && /usr/bin/env true && /bin/sh -c 'echo ok'`, "ok"},
		{"git", `cd /tmp && git init -q r && cd r && git -c user.name=d -c user.email=d@example.org commit -q --allow-empty -m first && git log --format=%s`, "first"},
		{"vim", `cd /tmp && printf 'one\n' >v && vim -es -u NONE -c '%s/one/two/' -c wq v; cat v`, "two"},
		{"nano", `nano --version | head -1 | grep -o 'GNU nano'`, "GNU nano"},
		{"terminals are known", `TERM=xterm-256color tput colors`, "256"},
		{"python", `python3 -c 'import ssl, sqlite3, json, ctypes; print(sum(range(10)), ssl.create_default_context().cert_store_stats()["x509_ca"] > 50)'`, "45 True"},
		{"a C program", `gcc -O1 -Wall -o /tmp/hello /workspace/hello.c -lm && /tmp/hello`, "hello 42"},
		{"make", `cd /tmp && printf 'all:\n\t@echo made\n' >Makefile && make`, "made"},
		{"curl", `curl --version | head -1 | cut -d' ' -f1; curl -sS file:///etc/hostname`, "curl\ntools-1"},
		{"ssh", `ssh -V 2>&1 | cut -d_ -f1; ssh-keygen -q -t ed25519 -N '' -f /tmp/key && head -c 11 /tmp/key.pub`, "OpenSSH\nssh-ed25519"},
		{"node", `node -e 'console.log([1,2,3].map(x => x * 2).join())' && npm --version | grep -c '^[0-9]'`, "2,4,6\n1"},
		{"jq and ripgrep", `echo '{"a":[1,2]}' | jq -c '.a|add'; rg -c stdio /workspace/hello.c`, "3\n1"},
		{"no network", `curl -sS --max-time 20 http://192.0.2.1/ 2>&1 | grep -c 'curl: ('; ls /sys/class/net`, "1\nlo"},
		{"PostgreSQL", `psql -Atc 'show server_version_num' | cut -c1-2; psql -Atc 'show max_connections'; psql -Atc 'select current_user, current_database()'; psql "$DATABASE_URL" -Atc 'create table kept (n int)'; psql -Atc 'insert into kept values (7) returning n'`, "15\n33\ndev|shop\nCREATE TABLE\n7"},
		{"pg_dump", `pg_dump -t kept | grep -c 'CREATE TABLE public.kept'`, "1"},
		{"Redis", `redis-cli -u "$REDIS_URL" set key value; redis-cli -u "$REDIS_URL" config get appendonly | tail -1; redis-cli -s /run/redis/redis.sock config get maxmemory | tail -1`, "OK\nyes\n33554432"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := cli(t, state, "exec", "tools/1", "--", "sh", "-c", c.script)
			if !strings.HasPrefix(r.stdout, c.want) {
				t.Errorf("exit code %d, printed %q, want %q\n%s", r.code, r.stdout, c.want, r.stderr)
			}
		})
	}

	t.Run("services keep their data", func(t *testing.T) {
		ok(t, state, "stop", "tools/1")
		ok(t, state, "start", "tools/1")
		out := ok(t, state, "exec", "tools/1", "--", "sh", "-c", `psql -Atc 'select n from kept'; redis-cli -u "$REDIS_URL" get key`)
		if out != "7\nvalue\n" {
			t.Errorf("after a restart: %q", out)
		}
	})
	s.interrupt()
	nothingLeft(t, state)
}
