package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/nixspace/nixspace"
)

// download stores an archive, or a flake.nix, from its address.
func (f *Fetcher) download(ctx context.Context, s nixspace.CodeSource, cred nixspace.SourceCredentials, progress nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
	if s.Dir != "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "source_folder_invalid", "a folder can be taken of a repository only, not of an archive")
	}
	tr := f.cfg.Policy.Transport()
	defer tr.CloseIdleConnections()
	tr.DisableCompression = true // what is sent is what is kept
	if f.cfg.CAFile != "" {
		pem, err := os.ReadFile(f.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of servers: %w", err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "source_invalid", "%.80q is no address of a file", s.String())
	}
	if err := f.checkScheme(req.URL.Scheme); err != nil {
		return nil, err
	}
	if cred.Token != "" {
		req.Header.Set("Authorization", "Bearer "+cred.Token) // not sent on to another host
	}
	client := &http.Client{Transport: tr, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return nixspace.Errorf(nixspace.KindUnavailable, "source_unreachable", "the server sends from one address to the next")
		}
		return f.checkScheme(req.URL.Scheme)
	}}
	res, err := client.Do(req)
	if err != nil {
		return nil, unreachable(req.URL.Hostname(), err)
	}
	defer res.Body.Close()
	if err := answer(res, s.String()); err != nil {
		return nil, err
	}
	if res.ContentLength > f.cfg.Limits.Bytes {
		return nil, f.tooLarge()
	}
	file, err := f.spool(ctx, &meter{r: res.Body, total: max(res.ContentLength, 0), progress: progress})
	if err != nil {
		var known *nixspace.Error
		if errors.As(err, &known) || ctx.Err() != nil {
			return nil, err
		}
		return nil, unreachable(req.URL.Hostname(), err)
	}
	defer file.Close()
	return f.unpack(ctx, file)
}

// checkScheme refuses what has no encryption, where networks are not private.
func (f *Fetcher) checkScheme(scheme string) error {
	if scheme == "https" || scheme == "http" && f.cfg.Policy.Inside() {
		return nil
	}
	return nixspace.Errorf(nixspace.KindForbidden, "source_scheme", "an address that begins with %.20s: is refused, because nobody could tell who answers", scheme).
		WithHint("use https:// or ssh://")
}

func answer(res *http.Response, address string) error {
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return unauthorized(address)
	case http.StatusNotFound, http.StatusGone:
		return nixspace.Errorf(nixspace.KindNotFound, "source_not_found", "there is nothing at %s", address).
			WithHint("check the address; for a private one, give a token with --token-stdin")
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "source_unreachable", "the server of %s answers with %d", address, res.StatusCode)
}

func unauthorized(address string) *nixspace.Error {
	return nixspace.Errorf(nixspace.KindUnauthorized, "source_unauthorized", "%s opens only for those who may see it", address).
		WithHint("give a token with --token-stdin or, over ssh, a deploy key with --deploy-key FILE; if one was given, it does not open this")
}

// unreachable says why a host did not answer.
func unreachable(host string, err error) error {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return known
	}
	if asked := (*url.Error)(nil); errors.As(err, &asked) {
		err = asked.Err // without the address, of which a signature may be part
	}
	var dns *net.DNSError
	reason := err.Error()
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		reason = "there is no host of that name"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		reason = "its certificate is not valid"
	case errors.As(err, &dns):
		reason = "its name could not be looked up"
	default:
		if i := strings.LastIndex(reason, ": "); i >= 0 {
			reason = reason[i+2:]
		}
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "source_unreachable", "%s cannot be reached: %s", host, reason)
}

// meter reports how much was read.
type meter struct {
	r        io.Reader
	n, told  int64
	total    int64
	progress nixspace.ProgressFunc
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if m.n-m.told > 256<<10 || err != nil {
		m.told = m.n
		m.progress(nixspace.Progress{Job: "source", Phase: "receive", Done: m.n, Total: m.total, Unit: "B", Final: err != nil})
	}
	return n, err
}
