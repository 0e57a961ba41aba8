package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

func TestHeaderAndRequest(t *testing.T) {
	want := nixspace.Command{Argv: []string{"psql", "-c", "select 1"}, Env: map[string]string{"A": "b"}, TTY: true, Cols: 80, Rows: 24}
	var b bytes.Buffer
	if err := WriteHeader(&b, ServiceExec, want); err != nil {
		t.Fatal(err)
	}
	b.WriteString("rest")
	h, err := ReadHeader(&b)
	if err != nil {
		t.Fatal(err)
	}
	if h.Version != Version || h.Service != ServiceExec {
		t.Errorf("%+v", h)
	}
	var got nixspace.Command
	if err := h.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b.String() != "rest" {
		t.Errorf("ReadHeader took more than the header: %q is left", b.String())
	}
}

func TestAnErrorKeepsWhatAPersonNeeds(t *testing.T) {
	cause := nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "there is no %q", "psq").WithHint("add it")
	var b bytes.Buffer
	if err := Fail(&b, cause); err != nil {
		t.Fatal(err)
	}
	_, err := ReadAnswer(&b)
	if !errors.Is(err, &nixspace.Error{Code: "command_not_found"}) || nixspace.ErrorKind(err) != nixspace.KindNotFound || err.Error() != cause.Error() {
		t.Errorf("%v", err)
	}
	b.Reset()
	if err := Fail(&b, errors.New(strings.Repeat("x", MaxAnswer))); err != nil {
		t.Fatalf("a long error cannot be sent: %v", err)
	}
	if _, err := ReadAnswer(&b); nixspace.ErrorCode(err) != "internal" {
		t.Errorf("%v", err)
	}
}

func TestAMessageOverTheLimitIsRefused(t *testing.T) {
	if err := WriteHeader(io.Discard, ServiceExec, strings.Repeat("x", MaxHeader)); nixspace.ErrorCode(err) != "message_too_large" {
		t.Errorf("%v", err)
	}
	if _, err := ReadHeader(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff})); nixspace.ErrorCode(err) != "protocol_error" {
		t.Errorf("%v", err)
	}
}

func TestAcceptRefusesAnotherVersion(t *testing.T) {
	var in, out bytes.Buffer
	if err := writeMessage(&in, Header{Version: 99, Service: ServicePing}, MaxHeader); err != nil {
		t.Fatal(err)
	}
	rw := struct {
		io.Reader
		io.Writer
	}{&in, &out}
	if _, err := Accept(rw); nixspace.ErrorCode(err) != "version_unsupported" {
		t.Errorf("%v", err)
	}
	if _, err := ReadAnswer(&out); nixspace.ErrorCode(err) != "version_unsupported" {
		t.Errorf("the other side is told %v", err)
	}
}

func FuzzReadHeader(f *testing.F) {
	var b bytes.Buffer
	_ = WriteHeader(&b, ServiceExec, nixspace.Command{Argv: []string{"true"}})
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var c nixspace.Command
		_ = h.Decode(&c)
		var r StartRequest
		_ = h.Decode(&r)
	})
}

func FuzzReadAnswer(f *testing.F) {
	var b bytes.Buffer
	_ = Fail(&b, nixspace.Errorf(nixspace.KindInvalid, "x", "y"))
	f.Add(b.Bytes())
	b.Reset()
	_ = Reply(&b, Pong{Version: 1})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ReadAnswer(bytes.NewReader(b))
		if err == nil && !a.OK {
			t.Error("neither a success nor an error passes")
		}
	})
}
