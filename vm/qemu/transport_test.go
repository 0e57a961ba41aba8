package qemu

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// ports returns a transport and the guest's ends of its two ports.
func ports(t *testing.T) (tr *transport, in *instance, data, control io.ReadWriteCloser) {
	t.Helper()
	ourData, data, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	ourControl, control, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	in = &instance{done: make(chan struct{})}
	tr = &transport{link: wire.NewLink(ourControl, ourData), machine: in}
	t.Cleanup(func() {
		_ = tr.link.Close()
		data.Close()
		control.Close()
	})
	return tr, in, data, control
}

// TestGarbageFromTheGuest lets a guest write what it likes: the host waits for an
// answer as long as its context allows, and takes the right one.
func TestGarbageFromTheGuest(t *testing.T) {
	tr, _, data, control := ports(t)
	noise := make([]byte, 100_000)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	noise = bytes.ReplaceAll(noise, []byte("nixspace"), nil)
	var g sync.WaitGroup
	defer g.Wait()
	defer func() { _ = tr.link.Close() }() // the guest's ends then end too
	for _, port := range []io.Writer{data, control} {
		g.Go(func() {
			_, _ = port.Write(noise)
			_, _ = io.WriteString(port, "\nOK 00\nREADY 1\n\x00nixspace 00\n\n")
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := tr.Reset(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("garbage was taken for an answer: %v", err)
	}
	if _, err := tr.Open(context.Background()); err == nil {
		t.Error("a stream was opened without an agent")
	}
	// Now an agent answers, after all of that.
	g.Go(func() {
		var scan wire.LineScanner
		b := make([]byte, 100)
		for {
			n, err := control.Read(b)
			if err != nil {
				return
			}
			for _, l := range scan.Feed(b[:n]) {
				switch l.Verb {
				case wire.VerbReset:
					_ = wire.WriteLine(control, wire.Line{Verb: wire.VerbOK, Arg: l.Arg})
					_, _ = io.WriteString(data, wire.Marker(l.Arg))
				case wire.VerbHello:
					_ = wire.WriteLine(control, wire.Line{Verb: wire.VerbReady, Arg: "1"})
				}
			}
		}
	})
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tr.Reset(ctx); err != nil {
		t.Errorf("an agent that answers after garbage: %v", err)
	}
}

// TestBrokenChannelSaysWhy: the reason of the machine's end counts more than that
// of the channel, which follows from it.
func TestBrokenChannelSaysWhy(t *testing.T) {
	tr, in, data, control := ports(t)
	in.err = in.failure("machine_crashed", "the guest's kernel crashed", newTail(1))
	data.Close()
	control.Close()
	close(in.done)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tr.Reset(ctx); nixspace.ErrorCode(err) != "machine_crashed" {
		t.Errorf("got %v", err)
	}
}
