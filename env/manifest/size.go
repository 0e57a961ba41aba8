package manifest

import (
	"fmt"
	"math/big"
	"regexp"
)

// Size is an amount of memory or disk, in MiB.
type Size int64

var (
	sizePattern      = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(MiB|GiB|TiB)$`)
	looseSizePattern = regexp.MustCompile(`(?i)^([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([MGT])i?B?$`)
)

// ParseSize reads "512MiB", "1.5GiB" or "1TiB". It fails where the amount is no
// whole number of MiB.
func ParseSize(s string) (Size, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		if l := looseSizePattern.FindStringSubmatch(s); l != nil {
			return 0, fmt.Errorf("%s is no amount: write \"%s%siB\"", quote(s), l[1], string(l[2][0]&^0x20))
		}
		return 0, fmt.Errorf("%s is no amount: write a number and MiB, GiB or TiB, as in \"512MiB\"", quote(s))
	}
	r, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return 0, fmt.Errorf("%s is no amount", quote(s))
	}
	r.Mul(r, new(big.Rat).SetInt64(map[string]int64{"MiB": 1, "GiB": 1 << 10, "TiB": 1 << 20}[m[2]]))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("%s is no whole number of MiB", quote(s))
	}
	return Size(r.Num().Int64()), nil
}

// String returns the amount in the largest unit that divides it.
func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<20) == 0:
		return fmt.Sprintf("%dTiB", s>>20)
	case s != 0 && s%(1<<10) == 0:
		return fmt.Sprintf("%dGiB", s>>10)
	}
	return fmt.Sprintf("%dMiB", int64(s))
}

// MiB returns the amount in MiB.
func (s Size) MiB() int64 { return int64(s) }
