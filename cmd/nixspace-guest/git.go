package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	askLimit  = 30 * time.Second
	askersMax = 16
	askMax    = 8 << 10 // bytes of a question or an answer
)

// gitQuestion is what the server is asked, and gitReply what it says.
type gitQuestion struct {
	ID       int    `json:"id"`
	Protocol string `json:"protocol"`
	Host     string `json:"host"`
}

type gitReply struct {
	ID       int    `json:"id"`
	User     string `json:"username"`
	Password string `json:"password"`
}

// lender passes questions of git on to the server, over standard input and output.
type lender struct {
	mu      sync.Mutex
	next    int
	waiting map[int]chan gitReply
	out     *json.Encoder
}

// gitLend listens on a socket for gitCredential until standard input ends. What it
// passes on is never written anywhere.
func gitLend(args []string) error {
	if len(args) != 1 {
		return errors.New("git-lend takes the path of a socket")
	}
	if err := os.MkdirAll(filepath.Dir(args[0]), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(args[0]), 0o700); err != nil {
		return err
	}
	_ = os.Remove(args[0]) // left by one that was killed, or by the machine's copy
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	g := &lender{waiting: map[int]chan gitReply{}, out: json.NewEncoder(os.Stdout)}
	go g.accept(l)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 0, 1024), 4*askMax)
	for in.Scan() {
		var r gitReply
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		g.mu.Lock()
		if c := g.waiting[r.ID]; c != nil {
			c <- r // has room for it
			delete(g.waiting, r.ID)
		}
		g.mu.Unlock()
	}
	return in.Err()
}

func (g *lender) accept(l net.Listener) {
	slots := make(chan struct{}, askersMax)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(askLimit))
			var q gitQuestion
			if json.NewDecoder(io.LimitReader(conn, askMax)).Decode(&q) != nil {
				return
			}
			if r, ok := g.ask(q); ok {
				_ = json.NewEncoder(conn).Encode(r)
			}
		}()
	}
}

// ask asks the server.
func (g *lender) ask(q gitQuestion) (gitReply, bool) {
	c := make(chan gitReply, 1)
	g.mu.Lock()
	g.next++
	q.ID = g.next
	g.waiting[q.ID] = c
	err := g.out.Encode(q)
	g.mu.Unlock()
	if err != nil {
		return gitReply{}, false
	}
	select {
	case r := <-c:
		return r, true
	case <-time.After(askLimit):
		g.mu.Lock()
		delete(g.waiting, q.ID)
		g.mu.Unlock()
		return gitReply{}, false
	}
}

// gitCredential is git's credential helper: see git-credential(1). It asks by the
// socket that gitLend listens on. Where nobody does, git goes on without.
func gitCredential(args []string) error {
	if len(args) != 2 || args[1] != "get" {
		return nil // there is nothing to store or to erase here
	}
	q, err := readQuestion(os.Stdin)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("unix", args[0], askLimit)
	if err != nil {
		return fmt.Errorf("the credentials of https://%s are lent while somebody whose they are works in the session, and nobody does", q.Host)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(askLimit))
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return err
	}
	var r gitReply
	if err := json.NewDecoder(io.LimitReader(conn, 4*askMax)).Decode(&r); err != nil || r.Password == "" {
		return err
	}
	_, err = fmt.Printf("username=%s\npassword=%s\n", r.User, r.Password)
	return err
}

// readQuestion reads what git asks for: lines KEY=VALUE up to an empty one.
func readQuestion(r io.Reader) (gitQuestion, error) {
	var q gitQuestion
	in := bufio.NewScanner(io.LimitReader(r, askMax))
	for in.Scan() && in.Text() != "" {
		key, value, _ := strings.Cut(in.Text(), "=")
		switch key {
		case "protocol":
			q.Protocol = value
		case "host":
			q.Host = value
		}
	}
	return q, in.Err()
}
