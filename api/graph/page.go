package graph

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph/model"
)

const (
	pageDefault = 50
	pageMax     = 500
)

// pageSize returns how many items a page has.
func pageSize(first *int) (int, error) {
	if first == nil {
		return pageDefault, nil
	}
	if *first < 1 || *first > pageMax {
		return 0, nixspace.Errorf(nixspace.KindInvalid, "page_size_invalid", "a page cannot have %d items", *first).
			WithHint("ask for 1 to %d, and for more with after", pageMax)
	}
	return *first, nil
}

// page cuts one page out of a whole list. A cursor names the last item of the
// page before by its identity, so a page stays right when items before it come
// or go.
func page[T any](items []T, first *int, after *string, id func(*T) nixspace.ID) ([]T, *model.PageInfo, error) {
	n, err := pageSize(first)
	if err != nil {
		return nil, nil, err
	}
	start := 0
	if after != nil && *after != "" {
		last, err := readCursor(*after)
		if err != nil {
			return nil, nil, err
		}
		start = -1
		for i := range items {
			if string(id(&items[i])) == last {
				start = i + 1
				break
			}
		}
		if start < 0 {
			return nil, nil, errCursor()
		}
	}
	end := min(start+n, len(items))
	info := &model.PageInfo{HasNextPage: end < len(items)}
	if end > start {
		info.EndCursor = writeCursor(string(id(&items[end-1])))
	}
	nodes := items[start:end]
	if nodes == nil {
		nodes = []T{}
	}
	return nodes, info, nil
}

func writeCursor(s string) *string {
	c := base64.RawURLEncoding.EncodeToString([]byte(s))
	return &c
}

func readCursor(c string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil {
		return "", errCursor()
	}
	return string(b), nil
}

func readNumberCursor(c *string) (int64, error) {
	if c == nil || *c == "" {
		return 0, nil
	}
	s, err := readCursor(*c)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, errCursor()
	}
	return n, nil
}

// A log goes on from several versions at once, so its cursor names them all.
func writeHashesCursor(hashes []string) *string { return writeCursor(strings.Join(hashes, " ")) }

func readHashesCursor(c *string) ([]string, error) {
	if c == nil || *c == "" {
		return nil, nil
	}
	s, err := readCursor(*c)
	if err != nil {
		return nil, err
	}
	hashes := strings.Split(s, " ")
	for _, h := range hashes {
		if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
			return nil, errCursor()
		}
	}
	return hashes, nil
}

func errCursor() error {
	return nixspace.Errorf(nixspace.KindInvalid, "cursor_invalid", "the cursor names nothing in this list").
		WithHint("start again without after")
}
