package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
)

// fetchTree fetches a tree and checks that the digest is that of what comes.
func fetchTree(t *testing.T, f *Fetcher, s nixspace.CodeSource) ([]byte, string) {
	t.Helper()
	r, sum, err := f.FetchTree(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	nar, err := io.ReadAll(r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := sha256.Sum256(nar); err != nil || hex.EncodeToString(got[:]) != sum {
		t.Errorf("the digest is %s, of %x: %v", sum, got, err)
	}
	left, err := filepath.Glob(filepath.Join(f.cfg.Dir, workPattern))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return nar, sum
}

// TestFetchTree compares a tree with what Nix itself makes of it.
func TestFetchTree(t *testing.T) {
	files := map[string]string{"flake.nix": "{ }\n", "a/b/c.txt": "c", "a.txt": "12345678", "empty": "", "a/link": "-> b/c.txt", "Z": "z", "deep/1/2/3/4/5/6/7/8/9/f": "f"}
	s := newForge(t)
	s.repository("lib", files)
	s.run("lib", "update-index", "--chmod=+x", "a.txt")
	if err := os.Chmod(filepath.Join(s.root, "lib", "a.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	commit := s.commit("lib", "executable", nil)
	f, err := Open(Config{Dir: filepath.Join(t.TempDir(), "inputs"), Policy: dial.Policy{Private: true}, CAFile: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	open(t, f.cfg.Dir+"/x")
	got, sum := fetchTree(t, f, nixspace.CodeSource{Kind: nixspace.SourceGit, URL: s.URL + "/lib", Ref: commit})
	if err := os.RemoveAll(filepath.Join(s.root, "lib", ".git")); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("nix-store"); err != nil {
		t.Skip("SKIPPED: there is no nix-store to compare with")
	}
	want, err := exec.Command("nix-store", "--dump", filepath.Join(s.root, "lib")).Output()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("it is not what Nix makes: %d bytes (%s), not %d; %v", len(got), sum, len(want), err)
	}

	// The same as an archive, as forges give it.
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	tw := tar.NewWriter(z)
	write := func(h tar.Header, text string) {
		h.Size = int64(len(text))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(tar.Header{Typeflag: tar.TypeDir, Name: "lib-main/", Mode: 0o755}, "")
	for name, text := range files {
		h := tar.Header{Typeflag: tar.TypeReg, Name: "lib-main/" + name, Mode: 0o644}
		if name == "a.txt" {
			h.Mode = 0o755
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			h.Typeflag, h.Linkname, text = tar.TypeSymlink, target, ""
		}
		write(h, text)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	archive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.Bytes()) }))
	t.Cleanup(archive.Close)
	if got, _ := fetchTree(t, f, nixspace.CodeSource{Kind: nixspace.SourceFile, URL: archive.URL + "/a.tar.gz"}); !bytes.Equal(got, want) {
		t.Error("the archive's tree is another one")
	}
}

// TestFetchTreeRefused: what only the server can reach is not reached for an input of
// a flake either, redirects to it included.
func TestFetchTreeRefused(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(inside.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
	strict, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "192.168.0.1", "169.254.169.254", "[fe80::1]"} {
		for _, s := range []nixspace.CodeSource{
			{Kind: nixspace.SourceFile, URL: fmt.Sprintf("https://%s:%s/a.tar.gz", host, port)},
			{Kind: nixspace.SourceGit, URL: fmt.Sprintf("https://%s:%s/a", host, port), Ref: strings.Repeat("a", 40)},
		} {
			if _, _, err := strict.FetchTree(t.Context(), s); nixspace.ErrorCode(err) != dial.CodeRefused {
				t.Errorf("%s: %v, want code %s", s, err, dial.CodeRefused)
			}
		}
	}
	if asked > 0 {
		t.Errorf("it was asked %d times", asked)
	}
	// Where a network is allowed, others are not.
	some, err := Open(Config{Dir: t.TempDir(), Policy: func() dial.Policy { p, _ := dial.ParsePolicy("127.0.0.1"); return p }()})
	if err != nil {
		t.Fatal(err)
	}
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	}))
	t.Cleanup(away.Close)
	if _, _, err := some.FetchTree(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceFile, URL: away.URL}); nixspace.ErrorCode(err) != dial.CodeRefused {
		t.Errorf("a redirect: %v, want code %s", err, dial.CodeRefused)
	}
}
