package screen

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// modes follows the private modes of a terminal through its output: the other
// screen, a hidden cursor, how keys and the mouse are reported. Who sees only the
// end of the output needs them to see it right. Sequences are followed over the
// borders of what is scanned.
type modes struct {
	set   map[int]bool // those that are not as a reset terminal has them
	state byte         // of the sequence that is read: 0, or its last significant byte
	param []byte
}

// modeDefaults are the modes that are followed, and how a reset terminal has them.
var modeDefaults = map[int]bool{
	1: false, 6: false, 7: true, 9: false, 25: true, 47: false, 66: false,
	1000: false, 1002: false, 1003: false, 1004: false, 1005: false, 1006: false, 1015: false,
	1047: false, 1049: false, 2004: false,
}

const paramMax = 64 // bytes of parameters; what has more sets no mode

func (m *modes) scan(p []byte) {
	for _, c := range p {
		switch {
		case c == 0x1b:
			m.state = c
		case m.state == 0:
		case m.state == 0x1b:
			m.state = 0
			switch c {
			case '[':
				m.state, m.param = '[', m.param[:0]
			case 'c': // the whole terminal is reset
				m.set = nil
			}
		case m.state == '[' && c == '?' && len(m.param) == 0:
			m.state = '?'
		case m.state == '[' || m.state == '?':
			if c >= '0' && c <= '9' || c == ';' {
				if len(m.param) < paramMax {
					m.param = append(m.param, c)
				}
				continue
			}
			if m.state == '?' && (c == 'h' || c == 'l') && len(m.param) < paramMax {
				m.change(string(m.param), c == 'h')
			}
			m.state = 0
		}
	}
}

func (m *modes) change(params string, on bool) {
	for p := range strings.SplitSeq(params, ";") {
		n, err := strconv.Atoi(p)
		normal, known := modeDefaults[n]
		switch {
		case err != nil || !known:
		case on == normal:
			delete(m.set, n)
		default:
			if m.set == nil {
				m.set = map[int]bool{}
			}
			m.set[n] = on
		}
	}
}

func (m *modes) clone() *modes {
	c := *m
	c.set, c.param = maps.Clone(m.set), slices.Clone(m.param)
	return &c
}

// String returns the sequences that bring a reset terminal into these modes.
func (m *modes) String() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(m.set)) {
		end := byte('l')
		if m.set[n] {
			end = 'h'
		}
		b.WriteString("\x1b[?" + strconv.Itoa(n))
		b.WriteByte(end)
	}
	return b.String()
}
