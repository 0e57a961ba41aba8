package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/apptest"
)

// writeCertificate makes a certificate of its own for 127.0.0.1, in two files.
func writeCertificate(t *testing.T, dir string, serial int64) (cfg TLS, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg = TLS{Listen: "127.0.0.1:0", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{cfg.Cert: {Type: "CERTIFICATE", Bytes: der}, cfg.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cfg, pool
}

func TestHTTPS(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	secure, pool := writeCertificate(t, t.TempDir(), 1)
	cfg.TLS = secure
	err := run(t, cfg, func(ctx context.Context, r Running) {
		if !strings.HasPrefix(r.URL, "http://127.0.0.1:") {
			t.Errorf("programs of this machine are told %s", r.URL)
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		_, code, _ := strings.Cut(r.SignIn, "#")
		body, _ := json.Marshal(map[string]string{"code": code})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.Secure+"/api/v1/sign-in", strings.NewReader(string(body)))
		if err != nil {
			t.Error(err)
			return
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Errorf("over https: %v", err)
			return
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNoContent || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s, headers %v", res.Status, res.Header)
		}
		for _, c := range res.Cookies() {
			if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") || c.Domain != "" || c.Path != "/" {
				t.Errorf("cookie %+v", c)
			}
		}
		if len(res.Cookies()) == 0 {
			t.Error("no cookie")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLS.Cert = filepath.Join(t.TempDir(), "none")
	if err := run(t, cfg, nil); nixspace.ErrorCode(err) != "tls_invalid" {
		t.Errorf("without its certificate: %v", err)
	}
}

// TestCertificateIsRenewed: the files are read again when they change, and one that
// is broken does not take the place of one that was good.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	cfg, _ := writeCertificate(t, dir, 1)
	c := &certificate{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	serial := func(now time.Time) int64 {
		t.Helper()
		parsed, err := x509.ParseCertificate(c.get(now).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.SerialNumber.Int64()
	}
	now := time.Now()
	if got := serial(now); got != 1 {
		t.Errorf("serial %d", got)
	}
	writeCertificate(t, dir, 2)
	later := now.Add(time.Minute)
	if err := os.Chtimes(cfg.Cert, later, later); err != nil {
		t.Fatal(err)
	}
	if got := serial(now.Add(time.Second)); got != 1 {
		t.Errorf("it was looked at again after a second")
	}
	if got := serial(now.Add(certificateEvery)); got != 2 {
		t.Errorf("serial %d after it was renewed", got)
	}
	if err := os.WriteFile(cfg.Cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(now.Add(3 * certificateEvery)); got != 2 {
		t.Errorf("serial %d with a broken file", got)
	}
}
