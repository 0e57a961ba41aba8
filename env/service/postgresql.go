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
// be killed at any moment. Its arguments are SQL statements, one line each, that
// run before the server ever starts.
//
// One sync of the file system does what initdb would do file by file; it is far
// quicker where the processor is emulated. C.UTF-8 is the one locale that every
// base system has.
const postgresqlInit = `set -eu
data=` + postgresqlData + `
rm -rf "$data.new"
initdb --pgdata="$data.new" --username=` + owner + ` --auth=trust --encoding=UTF8 --locale=C.UTF-8 --text-search-config=english --no-sync
if [ $# -gt 0 ]; then
	printf '%s\n' "$@" | postgres --single -D "$data.new" postgres >/dev/null
fi
sync -f "$data.new"
mv -T "$data.new" "$data"
sync -f "$data"`

func postgresql(s manifest.Service) nixspace.Service {
	port := manifest.ServicePort("postgresql", s)
	init := []string{"sh", "-c", postgresqlInit, "postgresql-init"}
	for _, name := range s.Databases {
		if name != "postgres" { // initdb makes it
			init = append(init, fmt.Sprintf(`CREATE DATABASE "%s"`, name))
		}
	}
	return nixspace.Service{
		Name:  "postgresql",
		Early: true,
		Argv:  []string{"postgres", "-D", postgresqlData, "-c", "config_file=" + postgresqlConfig},
		// The data directory must not be there before the cluster is.
		Dir:      "/data",
		Dirs:     []nixspace.ServiceDir{{Path: postgresqlSockets, Mode: 0o755}},
		Files:    map[string]string{postgresqlConfig: postgresqlConf(port, s.Settings)},
		Init:     [][]string{init},
		InitDone: postgresqlData + "/PG_VERSION",
		// A server accepts connections before it answers queries.
		Ready: nixspace.Probe{
			Unix: postgresqlSockets + "/.s.PGSQL." + strconv.Itoa(port),
			Exec: []string{
				"pg_isready", "--quiet", "--host=" + postgresqlSockets, "--port=" + strconv.Itoa(port), "--username=" + owner, "--dbname=postgres",
			},
		},
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
