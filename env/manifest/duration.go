package manifest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Duration is a length of time, in whole milliseconds.
type Duration time.Duration

var durationPattern = regexp.MustCompile(`^([0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h))+$`)

// ParseDuration reads "500ms", "1.5s" or "1m30s".
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || !durationPattern.MatchString(s) {
		return 0, fmt.Errorf("%s is no length of time: write a number and ms, s, m or h, as in \"30s\"", quote(s))
	}
	if d%time.Millisecond != 0 {
		return 0, fmt.Errorf("%s is no whole number of milliseconds", quote(s))
	}
	return Duration(d), nil
}

// String returns the duration as people write it: "1m30s", "2m", "500ms".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Milliseconds returns the duration in milliseconds.
func (d Duration) Milliseconds() int64 { return time.Duration(d).Milliseconds() }
