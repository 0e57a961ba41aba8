package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

type frame struct {
	Type    FrameType
	Payload []byte
}

func readAll(r io.Reader) ([]frame, error) {
	var got []frame
	f := NewFrameReader(r)
	for {
		t, p, err := f.Next()
		if err != nil {
			return got, err
		}
		got = append(got, frame{t, bytes.Clone(p)})
	}
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) frame {
			return frame{FrameType(rapid.Byte().Draw(t, "type")), rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "payload")}
		})).Draw(t, "frames")
		var b bytes.Buffer
		w := NewFrameWriter(&b)
		for _, f := range want {
			if err := w.Write(f.Type, f.Payload); err != nil {
				t.Fatal(err)
			}
		}
		var r io.Reader = bytes.NewReader(b.Bytes())
		if rapid.Bool().Draw(t, "in single bytes") {
			r = iotest.OneByteReader(r)
		}
		got, err := readAll(r)
		if !errors.Is(err, io.EOF) {
			t.Fatalf("the end is %v, not io.EOF", err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d frames became %d", len(want), len(got))
		}
		for i := range want {
			if diff := cmp.Diff(want[i], got[i]); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestATruncatedFrameIsNoEnd(t *testing.T) {
	var b bytes.Buffer
	if err := NewFrameWriter(&b).Write(FrameOut, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < b.Len(); n++ {
		if _, err := readAll(bytes.NewReader(b.Bytes()[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestLargeWritesBecomeSeveralFrames(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	var b bytes.Buffer
	w := NewFrameWriter(&b)
	if n, err := w.Stream(FrameOut).Write(data); n != len(data) || err != nil {
		t.Fatal(n, err)
	}
	if err := w.Write(FrameInEOF, nil); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(&b)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var joined []byte
	for _, f := range got[:len(got)-1] {
		if len(f.Payload) > MaxFrame {
			t.Errorf("a frame of %d bytes", len(f.Payload))
		}
		joined = append(joined, f.Payload...)
	}
	if !bytes.Equal(joined, data) {
		t.Error("the bytes differ")
	}
	if last := got[len(got)-1]; last.Type != FrameInEOF || len(last.Payload) != 0 {
		t.Errorf("the last frame is %v", last)
	}
}

func TestAFrameThatIsTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	_, err := readAll(bytes.NewReader([]byte{byte(FrameOut), 0xff, 0xff, 0xff, 0xff}))
	if code := nixspace.ErrorCode(err); code != "protocol_error" {
		t.Errorf("%v", err)
	}
}

// flakyReader fails every second read, as a connection with a deadline does.
type flakyReader struct {
	r    io.Reader
	fail bool
}

var errFlaky = errors.New("timeout")

func (f *flakyReader) Read(p []byte) (int, error) {
	if f.fail = !f.fail; f.fail {
		return 0, errFlaky
	}
	return f.r.Read(p[:1])
}

func TestTheHeadOfAFrameSurvivesTimeouts(t *testing.T) {
	var b bytes.Buffer
	if err := NewFrameWriter(&b).Write(FrameOut, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	f := NewFrameReader(&flakyReader{r: &b})
	for {
		typ, n, err := f.NextHeader()
		if errors.Is(err, errFlaky) {
			continue
		}
		if err != nil || typ != FrameOut || n != 3 {
			t.Fatal(typ, n, err)
		}
		break
	}
	var got []byte
	for len(got) < 3 {
		var p [8]byte
		n, err := f.Read(p[:])
		if err != nil && !errors.Is(err, errFlaky) {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if string(got) != "abc" {
		t.Errorf("%q", got)
	}
}

func TestNumbersInFrames(t *testing.T) {
	for _, code := range []int{0, 1, 127, 143, -1} {
		var b bytes.Buffer
		if err := NewFrameWriter(&b).WriteExit(code); err != nil {
			t.Fatal(err)
		}
		_, p, err := NewFrameReader(&b).Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeExit(p); got != code || err != nil {
			t.Errorf("%d became %d, %v", code, got, err)
		}
	}
	var b bytes.Buffer
	if err := NewFrameWriter(&b).WriteResize(300, 50); err != nil {
		t.Fatal(err)
	}
	_, p, _ := NewFrameReader(&b).Next()
	if cols, rows, err := DecodeResize(p); cols != 300 || rows != 50 || err != nil {
		t.Error(cols, rows, err)
	}
	if _, err := DecodeExit([]byte{1}); err == nil {
		t.Error("a short exit code passes")
	}
	if _, _, err := DecodeResize(nil); err == nil {
		t.Error("an empty size passes")
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 2, 'a', 'b', 5, 0, 0, 0, 4, 0, 0, 0, 1})
	f.Add([]byte{3, 0xff, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := readAll(bytes.NewReader(b))
		if err == nil {
			t.Fatal("no end")
		}
		var again bytes.Buffer
		w := NewFrameWriter(&again)
		for _, fr := range frames {
			if err := w.Write(fr.Type, fr.Payload); err != nil {
				t.Fatal(err)
			}
			switch fr.Type {
			case FrameExit:
				_, _ = DecodeExit(fr.Payload)
			case FrameResize:
				_, _, _ = DecodeResize(fr.Payload)
			case FrameSkip, FrameAck:
				if n, err := DecodeOffset(fr.Payload); err == nil && n < 0 {
					t.Error("an offset before the beginning")
				}
			case FrameError:
				if DecodeError(fr.Payload) == nil {
					t.Error("an error frame without an error")
				}
			}
		}
		if !bytes.HasPrefix(b, again.Bytes()) {
			t.Error("what was read is not what was sent")
		}
	})
}
