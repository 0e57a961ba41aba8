package model

import "github.com/nixspace/nixspace/env/suggest"

// Numbered is a suggestion with its place in the list.
type Numbered struct {
	suggest.Suggestion
	Number int
}

// KindText is the kind as text.
func (n Numbered) KindText() string { return string(n.Kind) }
