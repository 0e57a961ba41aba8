package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCompareVersions(t *testing.T) {
	// In ascending order, from deb-version(7) and Debian's archive.
	ordered := []string{
		"~~", "~~a", "~", "", "0.9", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1+b10", "1.0-2~bpo12+1", "1.0-2",
		"1.0a", "1.0+dfsg-1", "1.2", "1.10", "5.2.37-2+b10", "1:0.1", "1:2.47.3-0+deb13u1", "2:0",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("CompareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
}

// TestCompareVersionsLikeDpkg holds the order against dpkg's own.
func TestCompareVersionsLikeDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("SKIPPED: dpkg is not installed, so the order of versions is not compared with its own")
	}
	part := rapid.StringMatching(`[0-9a-z+~.]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := "0"+part.Draw(t, "a"), "0"+part.Draw(t, "b")
		if rapid.Bool().Draw(t, "revision") {
			a += "-" + rapid.StringMatching(`[0-9a-z+~.]{1,4}`).Draw(t, "ar")
		}
		op := "eq"
		switch got := CompareVersions(a, b); {
		case got < 0:
			op = "lt"
		case got > 0:
			op = "gt"
		}
		if err := exec.Command(dpkg, "--compare-versions", a, op, b).Run(); err != nil {
			t.Fatalf("dpkg does not agree that %q %s %q", a, op, b)
		}
	})
}

func TestUpstream(t *testing.T) {
	for version, want := range map[string]string{
		"5.2.37-2+b10":               "5.2.37",
		"1:2.47.3-0+deb13u1":         "2.47.3",
		"1.35+dfsg-3.1":              "1.35",
		"1:1.3.dfsg+really1.3.1-1":   "1.3.1",
		"20250419+deb13u1":           "20250419",
		"668-1":                      "668",
		"2.4+20151223.gitfa8646d.1-": "2.4+20151223.gitfa8646d.1",
		"3.5.9-1~deb13u1":            "3.5.9",
		"":                           "",
	} {
		if got := Upstream(version); got != want {
			t.Errorf("Upstream(%q) = %q, not %q", version, got, want)
		}
	}
}

const hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

func stanza(name, version, rest string) string {
	return fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nSection: libs\nSize: 10\nSHA256: %s\n%s\n", name, version, hash, rest)
}

func TestReadIndex(t *testing.T) {
	text := stanza("bash", "5.2-1", "Depends: libtinfo6 (>= 6), libgone | other, base-files:any (>= 2) [amd64]\nDescription: a\n long: text\n") +
		stanza("bash", "5.1-9", "") +
		stanza("libtinfo6", "6.5", "Pre-Depends: libc6\n") +
		stanza("libnew", "1", "Provides: libgone (= 3), libother\nDepends: libtinfo6, libnew-data\n") +
		stanza("libnew-data", "1", "") +
		stanza("libc6", "2.41", "") +
		"Package: bad name\nVersion: 1\n\nPackage: foreign\nVersion: 1\nArchitecture: arm64\nSize: 1\nSHA256: " + hash + "\n\n"
	x, err := ReadIndex(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if x.Len() != 5 {
		t.Errorf("the index has %d packages, not 5", x.Len())
	}
	want := &Package{
		Name: "bash", Version: "5.2-1", Architecture: "amd64", Section: "libs", SHA256: hash, Size: 10,
		Depends: []string{"libtinfo6", "libgone", "base-files"},
	}
	if diff := cmp.Diff(want, x.Get("bash")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"libtinfo6", "libnew"}, x.Libraries("bash")); diff != "" {
		t.Errorf("libraries of bash: %s", diff)
	}
	if got := x.Libraries("bash", "libnew"); len(got) != 1 {
		t.Errorf("libraries besides the named ones: %v", got)
	}
}

func TestReadIndexRefusesEndlessLines(t *testing.T) {
	if _, err := ReadIndex(strings.NewReader("Package: " + strings.Repeat("x", maxLine+1))); err == nil {
		t.Error("a line of more than a megabyte was read")
	}
}

func FuzzReadIndex(f *testing.F) {
	f.Add(stanza("bash", "5.2-1", "Depends: a (>= 1) | b, c:any [x] <y>\nProvides: z\n"))
	f.Add("Package:\n\n\n:\n x")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := ReadIndex(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, p := range x.packages {
			if name != p.Name || !namePattern.MatchString(name) || len(p.SHA256) != 64 || p.Size <= 0 {
				t.Errorf("an unusable package got in: %+v", p)
			}
			for _, lib := range x.Libraries(name) {
				if lib == name || x.Get(lib) == nil {
					t.Errorf("%s has library %s", name, lib)
				}
			}
		}
	})
}

// deb makes a Debian package with one file.
func deb(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	w := tar.NewWriter(z)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: "./usr/", Typeflag: tar.TypeDir, Mode: 0o755}),
		w.WriteHeader(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o755}),
	); err != nil {
		t.Fatal(err)
	}
	_, err := w.Write(content)
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.xz", []byte("odd")}, {"data.tar.gz", data.Bytes()}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func TestExtractFile(t *testing.T) {
	d := deb(t, "usr/bin/busybox", []byte("program"))
	got, err := ExtractFile(bytes.NewReader(d), "usr/bin/busybox", 100)
	if err != nil || string(got) != "program" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ExtractFile(bytes.NewReader(d), "usr/bin/other", 100); !errors.Is(err, ErrNoFile) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := ExtractFile(bytes.NewReader(d), "usr/bin/busybox", 3); err == nil {
		t.Error("a file that is too large was read")
	}
	for n := range d {
		if _, err := ExtractFile(bytes.NewReader(d[:n]), "usr/bin/busybox", 100); err == nil && n < len(d)-64 {
			t.Fatalf("the first %d bytes of %d were enough", n, len(d))
		}
	}
}

func FuzzExtractFile(f *testing.F) {
	f.Add(deb(f, "usr/bin/busybox", []byte("program")))
	f.Add([]byte("!<arch>\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ExtractFile(bytes.NewReader(b), "usr/bin/busybox", 1000)
		if err == nil && len(got) > 1000 {
			t.Errorf("got %d bytes", len(got))
		}
	})
}
