package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// Protocol is the value of the Upgrade header of requests for a stream.
const Protocol = "nixspace"

// server answers on the session's socket:
//
//	GET  /status        the machine's status
//	GET  /watch         lines of [Update], from the present status to the last
//	POST /stop          stops the session; answers with the last status
//	POST /hibernate     saves the machine and ends it
//	POST /snapshot?id=  takes a snapshot; answers with a [nixspace.SnapshotInfo]
//	GET  /logs?follow=  what the guest's kernel and agent print
//	GET  /open          with "Upgrade: nixspace": a stream to the guest's agent
//
// Errors are the JSON of [wire.ErrorBody]. Whoever can open the socket may do
// everything; its folder's permissions are the access control.
type server struct {
	http *http.Server
	done chan struct{} // closed when the listener's goroutine has ended
	tied sync.WaitGroup
}

// maxSocketPath is what fits into a socket's address, with its final zero.
const maxSocketPath = 104

// serve starts the server.
func (r *runner) serve(undo *cleanup) (*server, error) {
	path := r.spec.Host.Socket
	if len(path) >= maxSocketPath || !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q cannot be the path of a socket", path)
	}
	// Holding the session's lock, this process alone may serve here: a socket
	// that exists is stale.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // it is removed below, while the lock is held
	undo.add("remove the socket", func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	s := &server{done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", r.serveStatus)
	mux.HandleFunc("GET /watch", r.serveWatch)
	mux.HandleFunc("POST /stop", r.serveStop)
	mux.HandleFunc("POST /hibernate", r.serveHibernate)
	mux.HandleFunc("POST /snapshot", r.serveSnapshot)
	mux.HandleFunc("GET /logs", r.serveLogs)
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, req *http.Request) { r.serveOpen(s, w, req) })
	s.http = &http.Server{Handler: r.counted(mux), ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.log.Error("the session's socket is no longer served", "err", err)
		}
	}()
	return s, nil
}

// end lets requests finish that report the end, and then closes everything.
func (s *server) end() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	_ = s.http.Close()
	<-s.done
	s.tied.Wait() // streams ended with the machine
}

// counted keeps count of requests, so that a session without any can end.
func (r *runner) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.contacts++
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			r.contacts--
			r.contact = time.Now()
			r.mu.Unlock()
		}()
		h.ServeHTTP(w, req)
	})
}

func (r *runner) serveStatus(w http.ResponseWriter, _ *http.Request) { reply(w, r.status()) }

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who has gone away needs no answer
}

func replyError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(wire.EncodeError(err))
}

func (r *runner) serveWatch(w http.ResponseWriter, req *http.Request) {
	watcher := r.hub.watch()
	defer watcher.stop()
	w.Header().Set("Content-Type", "application/jsonl")
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	for {
		select {
		case <-watcher.news:
		case <-req.Context().Done():
			return
		}
		updates, ended := watcher.take()
		for _, u := range updates {
			if err := enc.Encode(u); err != nil {
				return
			}
		}
		if err := out.Flush(); err != nil || ended {
			return
		}
	}
}

func (r *runner) serveStop(w http.ResponseWriter, req *http.Request) {
	r.stop(errStopped)
	select {
	case <-r.finished:
		reply(w, r.status())
	case <-req.Context().Done():
	}
}

func (r *runner) serveHibernate(w http.ResponseWriter, req *http.Request) {
	if err := r.hibernate(req.Context()); err != nil {
		replyError(w, err)
		return
	}
	select {
	case <-r.finished:
		reply(w, r.status())
	case <-req.Context().Done():
	}
}

func (r *runner) serveSnapshot(w http.ResponseWriter, req *http.Request) {
	info, err := r.snapshot(req.Context(), nixspace.ID(req.FormValue("id")))
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, info)
}

func (r *runner) serveLogs(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	out := http.NewResponseController(w)
	follow := req.FormValue("follow") == "true"
	_ = r.console.copyTo(req.Context(), w, follow, func() { _ = out.Flush() })
}

// serveOpen joins a client's connection and a stream to the agent. The two then
// speak the wire protocol with each other.
func (r *runner) serveOpen(s *server, w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Upgrade") != Protocol {
		replyError(w, nixspace.Errorf(nixspace.KindInvalid, "upgrade_missing", "a stream needs the header Upgrade: %s", Protocol))
		return
	}
	guest, release, err := r.open(req.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	defer release()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	s.tied.Add(1)
	defer s.tied.Done()
	_, err = io.WriteString(client, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+Protocol+"\r\n\r\n")
	if err != nil {
		return
	}
	relay(client, buffered.Reader, guest)
}

// relay copies both ways until one side ends. The protocol ends with its own
// messages, never by closing one direction, so the first end is the end of all.
func relay(client net.Conn, fromClient *bufio.Reader, guest net.Conn) {
	var both sync.WaitGroup
	end := func() {
		past := time.Unix(1, 0)
		_ = guest.SetDeadline(past)
		_ = client.SetReadDeadline(past)
	}
	both.Go(func() {
		defer end()
		_, _ = io.Copy(client, guest)
	})
	both.Go(func() {
		defer end()
		_, _ = io.Copy(guest, fromClient)
	})
	both.Wait()
}
