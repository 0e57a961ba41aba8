package service

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

const (
	postgresqlData    = "/data/postgresql"
	postgresqlSockets = "/run/postgresql"
	postgresqlConfig  = postgresqlSockets + "/postgresql.conf"
)

// postgresqlInit makes the cluster beside its place and moves it there once all
// of it is on the disk, so that a cluster that is there is complete: a guest may
// be killed at any moment. Its arguments are the databases to make before the
// server ever starts; what it made stands in the file nixspace-databases.
//
// One sync of the file system does what initdb would do file by file; it is far
// quicker where the processor is emulated. C.UTF-8 is the one locale that every
// base system has.
const postgresqlInit = `set -eu
data=` + postgresqlData + `
new=$data.new
rm -rf "$new"
` + postgresqlMake + `
sync -f "$new"
mv -T "$new" "$data"
sync -f "$data"`

// postgresqlMake makes the cluster $new.
const postgresqlMake = `initdb --pgdata="$new" --username=` + owner + ` --auth=trust --encoding=UTF8 --locale=C.UTF-8 --text-search-config=english --no-sync
if [ $# -gt 0 ]; then
	printf 'CREATE DATABASE "%s"\n' "$@" | postgres --single -D "$new" postgres >/dev/null
fi
printf '%s\n' "$*" >"$new/nixspace-databases"`

// postgresqlSeed does the same outside of a guest.
const postgresqlSeed = `set -eu
new=$out
` + postgresqlMake

// postgresqlDatabases makes those databases that are not there, in a cluster that
// was made for an earlier manifest. Its first argument is the port. It starts no
// program where the cluster was made with just these. Names of databases are
// plain words (manifest checks that).
const postgresqlDatabases = `set -eu
port=$1
shift
made=
[ ! -r ` + postgresqlData + `/nixspace-databases ] || read -r made <` + postgresqlData + `/nixspace-databases
[ "$made" != "$*" ] || exit 0
for name; do
	printf "SELECT 'CREATE DATABASE \"%s\"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '%s')\\\\gexec\n" "$name" "$name"
done | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host=` + postgresqlSockets + ` --port="$port" --username=` + owner + ` --dbname=postgres`

func postgresql(s manifest.Service) nixspace.Service {
	port := manifest.ServicePort("postgresql", s)
	init := []string{"sh", "-c", postgresqlInit, "postgresql-init"}
	databases := slices.DeleteFunc(slices.Clone(s.Databases), func(name string) bool { return name == "postgres" }) // initdb makes it
	var after [][]string
	if len(databases) > 0 {
		after = [][]string{append([]string{"sh", "-c", postgresqlDatabases, "postgresql-databases", strconv.Itoa(port)}, databases...)}
	}
	return nixspace.Service{
		Name:  "postgresql",
		Early: true,
		Argv:  []string{"postgres", "-D", postgresqlData, "-c", "config_file=" + postgresqlConfig},
		// The data directory must not be there before the cluster is.
		Dir:      "/data",
		Dirs:     []nixspace.ServiceDir{{Path: postgresqlSockets, Mode: 0o755}},
		Files:    map[string]string{postgresqlConfig: postgresqlConf(port, s.Settings)},
		Init:     [][]string{append(init, databases...)},
		InitDone: postgresqlData + "/PG_VERSION",
		Seed:     &nixspace.ServiceSeed{Family: "postgresql", Script: postgresqlSeed, Args: databases, Dir: postgresqlData, Cluster: true},
		// A server accepts connections before it answers queries.
		Ready: nixspace.Probe{
			Unix: postgresqlSockets + "/.s.PGSQL." + strconv.Itoa(port),
			Exec: []string{
				"pg_isready", "--quiet", "--host=" + postgresqlSockets, "--port=" + strconv.Itoa(port), "--username=" + owner, "--dbname=postgres",
			},
		},
		After: after,
		Ports: []int{port},
		// Fast shutdown: ends sessions and leaves no recovery to the next start.
		StopSignal: "SIGINT",
		StopAfter:  time.Minute,
	}
}

func postgresqlEnv(s manifest.Service) map[string]string {
	port, database := strconv.Itoa(manifest.ServicePort("postgresql", s)), "postgres"
	if len(s.Databases) > 0 {
		database = s.Databases[0]
	}
	return map[string]string{
		"PGHOST": postgresqlSockets, "PGPORT": port, "PGUSER": owner, "PGDATABASE": database,
		"DATABASE_URL": "postgresql://" + owner + "@127.0.0.1:" + port + "/" + database,
	}
}

// postgresqlConf is the configuration: that of initdb, then NixSpace's, then the
// manifest's.
func postgresqlConf(port int, settings map[string]any) string {
	var b strings.Builder
	b.WriteString("# Written by NixSpace at each start, from nixspace.toml.\n")
	fmt.Fprintf(&b, "include = '%s/postgresql.conf'\n", postgresqlData)
	for _, kv := range [][2]string{
		{"listen_addresses", "127.0.0.1"},
		{"port", strconv.Itoa(port)},
		{"unix_socket_directories", postgresqlSockets},
		{"logging_collector", "off"}, // the log is read from standard error
	} {
		fmt.Fprintf(&b, "%s = '%s'\n", kv[0], kv[1])
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, postgresqlValue(settings[name]))
	}
	return b.String()
}

// postgresqlValue writes a value as PostgreSQL's guc-file.l reads it.
func postgresqlValue(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "on"
		}
		return "off"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return "'" + strconv.FormatFloat(v, 'g', -1, 64) + "'"
	}
	s, _ := v.(string)
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}
