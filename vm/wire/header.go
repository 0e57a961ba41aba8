package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nixspace/nixspace"
)

// Header opens a stream: what the host wants of the guest.
type Header struct {
	Version int             `json:"v"`
	Service string          `json:"service"`
	Request json.RawMessage `json:"request,omitempty"` // the service's own request
}

// Answer is what the guest says to a [Header]: a result, or an error and then
// nothing more.
type Answer struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *ErrorBody      `json:"error,omitempty"`
}

// ErrorBody is a [nixspace.Error] on its way to the host.
type ErrorBody struct {
	Kind    nixspace.Kind `json:"kind"`
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Hint    string        `json:"hint,omitempty"`
}

// maxErrorText bounds the text of an error, so that an answer always fits.
const maxErrorText = 8 << 10

// EncodeError returns err for the wire. What is no [nixspace.Error] keeps its
// text and becomes internal.
func EncodeError(err error) *ErrorBody {
	var e *nixspace.Error
	if !errors.As(err, &e) {
		return &ErrorBody{Kind: nixspace.KindInternal, Code: "internal", Message: clip(err.Error(), maxErrorText)}
	}
	return &ErrorBody{Kind: e.Kind, Code: clip(e.Code, 128), Message: clip(e.Message, maxErrorText), Hint: clip(e.Hint, maxErrorText)}
}

// Err returns the error that b stands for.
func (b *ErrorBody) Err() error {
	e := &nixspace.Error{Kind: b.Kind, Code: b.Code, Message: b.Message, Hint: b.Hint}
	if e.Kind == "" {
		e.Kind = nixspace.KindInternal
	}
	if e.Code == "" {
		e.Code = "internal"
	}
	return e
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

// WriteHeader sends the header that asks for service, with its request; nil for
// none.
func WriteHeader(w io.Writer, service string, request any) error {
	h := Header{Version: Version, Service: service}
	if request != nil {
		b, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encode request of %s: %w", service, err)
		}
		h.Request = b
	}
	return writeMessage(w, h, MaxHeader)
}

// ReadHeader reads a header. It does not check the version.
func ReadHeader(r io.Reader) (Header, error) {
	var h Header
	err := readMessage(r, &h, MaxHeader)
	return h, err
}

// WriteAnswer sends an answer.
func WriteAnswer(w io.Writer, a Answer) error { return writeMessage(w, a, MaxAnswer) }

// ReadAnswer reads an answer. It returns the error that the answer carries.
func ReadAnswer(r io.Reader) (Answer, error) {
	var a Answer
	if err := readMessage(r, &a, MaxAnswer); err != nil {
		return a, err
	}
	if a.Error != nil {
		return a, a.Error.Err()
	}
	if !a.OK {
		return a, protocolError("an answer is neither a success nor an error")
	}
	return a, nil
}

// writeMessage sends v as JSON after its length, a big-endian 32-bit number, in
// one write.
func writeMessage(w io.Writer, v any, limit int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(b) > limit {
		return nixspace.Errorf(nixspace.KindLimit, "message_too_large",
			"a message of %d bytes is more than the guest protocol's limit of %d", len(b), limit)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

func readMessage(r io.Reader, v any, limit int) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if int64(n) > int64(limit) {
		return protocolError("a message of %d bytes is more than the limit of %d", n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return noEOF(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return protocolError("a message is not what it should be: %w", err)
	}
	return nil
}

// noEOF turns an end in the middle of something into an error that says so.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func protocolError(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindInternal, "protocol_error", "guest protocol: "+format, args...)
}
