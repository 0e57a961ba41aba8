package client

import (
	"bytes"
	"testing"

	"github.com/nixspace/nixspace"
)

func TestReadFrame(t *testing.T) {
	for _, c := range []struct {
		name, frame, stdout, stderr string
		code                        int
		done                        bool
		err                         string // an error code; "?" for another error
	}{
		{name: "nothing"},
		{name: "output", frame: "\x02out", stdout: "out"},
		{name: "errors", frame: "\x03err", stderr: "err"},
		{name: "the end", frame: "\x04\x00\x00\x00\x07", code: 7, done: true},
		{name: "a negative code", frame: "\x04\xff\xff\xff\xff", code: -1, done: true},
		{name: "a broken end", frame: "\x04\x00", err: "?"},
		{name: "an error", frame: "\x07" + `{"kind":"conflict","code":"session_ended","message":"gone"}`, err: "session_ended"},
		{name: "an error without a kind", frame: "\x07{}", err: "internal"},
		{name: "a broken error", frame: "\x07{", err: "?"},
		{name: "of a later version", frame: "\x63new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code, done, err := readFrame([]byte(c.frame), &stdout, &stderr)
			if code != c.code || done != c.done || stdout.String() != c.stdout || stderr.String() != c.stderr {
				t.Errorf("code %d, done %v, stdout %q, stderr %q", code, done, stdout.String(), stderr.String())
			}
			if (err != nil) != (c.err != "") || err != nil && c.err != "?" && nixspace.ErrorCode(err) != c.err {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// What a server sends never makes the client panic, and output comes through as
// it is.
func FuzzReadFrame(f *testing.F) {
	for _, seed := range []string{"", "\x02a", "\x03b", "\x04\x00\x00\x00\x01", "\x04", "\x07{}", "\x07{\"details\":{\"a\":[1]}}", "\x08"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var stdout, stderr bytes.Buffer
		_, done, err := readFrame(b, &stdout, &stderr)
		if done && err != nil {
			t.Errorf("an end and an error: %v", err)
		}
		switch {
		case len(b) > 0 && b[0] == frameStdout:
			if !bytes.Equal(stdout.Bytes(), b[1:]) {
				t.Error("output was changed")
			}
		case stdout.Len() > 0, stderr.Len() > 0 && b[0] != frameStderr:
			t.Error("output of a frame that has none")
		}
	})
}
