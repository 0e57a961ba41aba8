package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/web"
)

// TLS says how a server is reached over HTTPS, besides its own address.
type TLS struct {
	Listen string // host:port; empty for not at all
	// Cert and Key are files in PEM: the certificate with its chain, and its private
	// key. They are read again when they change.
	Cert, Key string
}

// certificateEvery is how often the files are looked at, at most.
const certificateEvery = 10 * time.Second

// listenTLS takes an address for HTTPS. It fails with code "tls_invalid" where the
// certificate cannot be used.
func listenTLS(ctx context.Context, cfg TLS, log *slog.Logger) (net.Listener, error) {
	c := &certificate{cfg: cfg, log: log}
	if err := c.read(); err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "tls_invalid", "the certificate cannot be used: %w", err).
			WithHint("give the files of a certificate with its chain and of its key, in PEM, with --tls-cert and --tls-key")
	}
	ln, err := listen(ctx, cfg.Listen)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // sockets need it
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}), nil
}

// certificate is one that is renewed while the server runs.
type certificate struct {
	cfg TLS
	log *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the file
	looked  time.Time
}

func (c *certificate) read() error {
	info, err := os.Stat(c.cfg.Cert)
	if err != nil {
		return err
	}
	if c.current != nil && info.ModTime().Equal(c.changed) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return err
	}
	c.current, c.changed = &pair, info.ModTime()
	return nil
}

// get returns the certificate of now. One that cannot be read does not take the
// place of one that could.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) >= certificateEvery {
		c.looked = now
		if err := c.read(); err != nil {
			c.log.Error("the certificate cannot be read again; the last one is used", "cert", c.cfg.Cert, "error", err)
		}
	}
	return c.current
}

// answer serves on all addresses until ctx ends. Where one of them fails, the server
// ends.
func (s *server) answer(ctx context.Context, h *web.Handler, wrap func(http.Handler) http.Handler) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, ln := range []net.Listener{s.listener, s.secure} {
		if ln == nil {
			continue
		}
		all.Go(func() error {
			err := h.Serve(ctx, ln, wrap)
			if err != nil && ctx.Err() == nil {
				s.giveUp(err)
			}
			return err
		})
	}
	return all.Wait()
}
