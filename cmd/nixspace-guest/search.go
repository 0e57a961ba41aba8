package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	searchedMax = 8 << 20 // bytes of a file that is searched
	previewMax  = 1000    // UTF-16 units of a line that are shown
	onLineMax   = 100     // matches of a line
)

// match is a line that matches. Columns count UTF-16 units, from 0.
type match struct {
	Path   string   `json:"path"`
	Line   int      `json:"line"`
	Text   string   `json:"text"`
	Ranges [][2]int `json:"ranges"`
}

// search prints, in lists of JSON, the lines that match, and at last an object that
// says whether there are more.
func search(args []string) error {
	q, err := readQuery(args)
	if err != nil {
		return err
	}
	re, err := q.compile()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	left := q.Max
	err = q.files(func(name string) error {
		found := searchFile(filepath.Join(q.Path, name), name, re, left)
		if len(found) == 0 {
			return nil
		}
		if err := out.Encode(found); err != nil {
			return err
		}
		if left -= len(found); left <= 0 {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Encode(map[string]bool{"limit": left <= 0})
}

func (q query) compile() (*regexp.Regexp, error) {
	pattern := q.Pattern
	if !q.Regexp {
		pattern = regexp.QuoteMeta(pattern)
	}
	if q.Word {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if !q.Case {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errors.New("the regular expression makes no sense: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// searchFile returns the lines of a file that match, at most limit. What is no text
// has none.
func searchFile(path, name string, re *regexp.Regexp, limit int) []match {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > searchedMax {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, searchedMax))
	if err != nil || bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0 {
		return nil
	}
	return searchText(content, name, re, limit)
}

func searchText(content []byte, name string, re *regexp.Regexp, limit int) []match {
	if !re.Match(content) {
		return nil // most files: one look, not one for each line
	}
	var found []match
	line := -1
	for text := range bytes.Lines(content) {
		line++
		text = bytes.TrimRight(text, "\r\n")
		at := re.FindAllIndex(text, onLineMax)
		if len(at) == 0 {
			continue
		}
		m := match{Path: name, Line: line, Text: preview(text)}
		for _, r := range at {
			from, to := units(text[:r[0]]), units(text[:r[1]])
			if from < to && to <= previewMax {
				m.Ranges = append(m.Ranges, [2]int{from, to})
			}
		}
		if len(m.Ranges) == 0 {
			continue
		}
		if found = append(found, m); len(found) >= limit {
			break
		}
	}
	return found
}

// units counts the UTF-16 units of text. Each byte that is no text counts as one
// character, as editors show it.
func units(b []byte) int {
	n := 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		n += max(1, utf16.RuneLen(r))
		b = b[size:]
	}
	return n
}

// preview returns the beginning of a line.
func preview(b []byte) string {
	var text strings.Builder
	for n := 0; len(b) > 0 && n < previewMax; {
		r, size := utf8.DecodeRune(b) // U+FFFD for each byte that is no text, as units counts
		text.WriteRune(r)
		n += max(1, utf16.RuneLen(r))
		b = b[size:]
	}
	return text.String()
}
