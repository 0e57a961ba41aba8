package history

import (
	"slices"
	"strings"
)

// Drawing draws the lines between versions beside a log, as `git log --graph`
// does. Give it the versions in the log's order, parents after children.
//
// Every open line is a column that waits for one version. Between two versions
// the lines move, one column per row of text, to where they must be next.
type Drawing struct {
	waiting []string // by column: the hash that it waits for
}

// Add draws the next version: mark stands before its first line of text, rest
// before every other one, and the rows of below follow its text.
func (d *Drawing) Add(hash string, parents []string) (mark, rest string, below []string) {
	col := slices.Index(d.waiting, hash)
	if col < 0 {
		col = len(d.waiting)
		d.waiting = append(d.waiting, hash)
	}
	mark = d.row(func(i int) byte {
		if i == col {
			return '*'
		}
		return '|'
	})
	next, moves := d.advance(col, parents)
	rest = d.row(func(i int) byte {
		if i == col && len(parents) == 0 {
			return ' '
		}
		return '|'
	})
	width := max(len(d.waiting), len(next))
	d.waiting = next
	return mark, rest, draw(moves, width)
}

// row draws all columns that there are.
func (d *Drawing) row(at func(column int) byte) string {
	b := make([]byte, 0, 2*len(d.waiting))
	for i := range d.waiting {
		b = append(b, at(i), ' ')
	}
	return string(b)
}

// move is a line on its way from one column to another.
type move struct{ from, to int }

// advance returns the columns that follow a version at col, and how the lines
// get there.
func (d *Drawing) advance(col int, parents []string) ([]string, []move) {
	next := slices.Clone(d.waiting)
	keep := 0 // whether the version's own column goes on
	for i, p := range parents {
		at := slices.Index(next, p)
		switch {
		case i == 0 && at > col: // the line of the first parent comes to the left
			next = slices.Delete(next, at, at+1)
			fallthrough
		case i == 0 && at < 0:
			next[col], keep = p, 1
		case i > 0 && at < 0:
			next = slices.Insert(next, col+keep, p)
		}
	}
	if keep == 0 {
		next = slices.DeleteFunc(next, func(h string) bool { return h == d.waiting[col] })
	}
	var moves []move
	for i, h := range d.waiting {
		if i != col {
			moves = append(moves, move{i, slices.Index(next, h)})
		}
	}
	for _, p := range parents {
		moves = append(moves, move{col, slices.Index(next, p)})
	}
	return next, moves
}

// draw returns the rows in which lines move; none when all stay.
func draw(moves []move, width int) []string {
	var rows []string
	for {
		row := []byte(strings.Repeat(" ", 2*width))
		moving := false
		put := func(at int, c byte) {
			if row[at] != ' ' && row[at] != c {
				c = 'X' // two lines cross
			}
			row[at] = c
		}
		for i, m := range moves {
			switch {
			case m.to < m.from:
				put(2*m.from-1, '/')
				moves[i].from--
				moving = true
			case m.to > m.from:
				put(2*m.from+1, '\\')
				moves[i].from++
				moving = true
			default:
				put(2*m.from, '|')
			}
		}
		if !moving {
			return rows
		}
		rows = append(rows, string(row))
	}
}
