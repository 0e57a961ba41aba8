package service

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

const (
	redisData   = "/data/redis"
	redisRun    = "/run/redis"
	redisConfig = redisRun + "/redis.conf"
	redisSocket = redisRun + "/redis.sock"
)

func redis(s manifest.Service) nixspace.Service {
	port := manifest.ServicePort("redis", s)
	return nixspace.Service{
		Name:      "redis",
		Early:     true,
		Argv:      []string{"redis-server", redisConfig},
		Dir:       redisData,
		Dirs:      []nixspace.ServiceDir{{Path: redisRun, Mode: 0o755}},
		Files:     map[string]string{redisConfig: redisConf(port, s.Settings)},
		Ready:     nixspace.Probe{TCP: port},
		Ports:     []int{port},
		StopAfter: 30 * time.Second, // it writes its data when it stops
	}
}

func redisEnv(s manifest.Service) map[string]string {
	u := url.URL{Scheme: "redis", Host: "127.0.0.1:" + strconv.Itoa(manifest.ServicePort("redis", s))}
	if password, ok := s.Settings["requirepass"].(string); ok && password != "" {
		u.User = url.UserPassword("", password)
	}
	return map[string]string{"REDIS_URL": u.String()}
}

func redisConf(port int, settings map[string]any) string {
	var b strings.Builder
	b.WriteString("# Written by NixSpace at each start, from nixspace.toml.\n")
	fmt.Fprintf(&b, "bind 127.0.0.1\nport %d\nunixsocket %s\ndir %s\ndaemonize no\nlogfile \"\"\n", port, redisSocket, redisData)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s %s\n", name, redisValue(name, settings[name]))
	}
	return b.String()
}

// redisLists are the settings whose value is several words.
var redisLists = []string{
	"save", "client-output-buffer-limit", "oom-score-adj-values", "rename-command", "replicaof",
	"latency-tracking-info-percentiles",
}

// redisValue writes a value as Redis splits the lines of its configuration
// (sds.c, sdssplitargs).
func redisValue(name string, v any) string {
	var text string
	switch v := v.(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		text = v
	}
	words := []string{text}
	if slices.Contains(redisLists, name) && text != "" {
		words = strings.Fields(text)
	}
	for i, w := range words {
		words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
	}
	return strings.Join(words, " ")
}
