package code

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

func message(header, body string) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header...), body...)
}

func TestParse(t *testing.T) {
	r, body, err := parse(websocket.MessageBinary, message(`{"id":3,"method":"write","params":{"path":"/a"}}`, "content"))
	if err != nil || r.ID != 3 || r.Method != "write" || string(r.Params) != `{"path":"/a"}` || string(body) != "content" {
		t.Errorf("%+v, %q, %v", r, body, err)
	}
	if _, _, err := parse(websocket.MessageText, message(`{}`, "")); err == nil {
		t.Error("text is taken")
	}
}

// FuzzParse: whatever a page sends, its parts lie within it.
func FuzzParse(f *testing.F) {
	f.Add(message(`{"id":1}`, "x"))
	f.Add([]byte{255, 255, 255, 255})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, body, err := parse(websocket.MessageBinary, b)
		if err == nil && len(body)+len(r.Params)+4 > len(b) {
			t.Errorf("%q has %d bytes of content", b, len(body))
		}
	})
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code string
	}{
		{fmt.Errorf("open: %w", os.ErrNotExist), "not_found"},
		{&fs.PathError{Op: "open", Err: os.ErrPermission}, "forbidden"},
		{os.ErrExist, "exists"},
		{failed("too_large", "it is"), "too_large"},
		{nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "no"), "command_not_found"},
		{context.Canceled, "canceled"},
		{errors.New("what"), "failed"},
	} {
		if got := problemOf(tt.err); got.Code != tt.code {
			t.Errorf("%v: %+v, want %s", tt.err, got, tt.code)
		}
	}
}
