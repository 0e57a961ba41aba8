package wire

import (
	"encoding/json"
	"io"

	"github.com/hashicorp/yamux"

	"github.com/nixspace/nixspace"
)

// Accept reads the header of a new stream. Where it cannot be served, Accept has
// answered so and returns the error.
func Accept(rw io.ReadWriter) (Header, error) {
	h, err := ReadHeader(rw)
	if err != nil {
		_ = Fail(rw, err)
		return h, err
	}
	if h.Version != Version {
		err := nixspace.Errorf(nixspace.KindInvalid, "version_unsupported",
			"the guest speaks version %d of the protocol, not %d", Version, h.Version)
		_ = Fail(rw, err)
		return h, err
	}
	return h, nil
}

// Decode reads the request that h carries.
func (h Header) Decode(request any) error {
	if len(h.Request) == 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "request_invalid", "service %s needs a request", h.Service)
	}
	if err := json.Unmarshal(h.Request, request); err != nil {
		return nixspace.Errorf(nixspace.KindInvalid, "request_invalid", "the request of service %s cannot be read: %w", h.Service, err)
	}
	return nil
}

// Reply answers a header with success and a result; nil for none.
func Reply(w io.Writer, result any) error {
	a := Answer{OK: true}
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			return err
		}
		a.Result = b
	}
	return WriteAnswer(w, a)
}

// Fail answers a header with an error.
func Fail(w io.Writer, err error) error { return WriteAnswer(w, Answer{Error: EncodeError(err)}) }

// NewGuestMux returns the guest's side of the streams over a data port.
func NewGuestMux(port io.ReadWriteCloser) (*yamux.Session, error) {
	return yamux.Server(port, muxConfig())
}
