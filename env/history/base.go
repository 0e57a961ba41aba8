package history

// Sides of a search for common ancestors.
const (
	left = 1 << iota
	right
	stale // below a common ancestor
)

// MergeBases returns the best common ancestors of two sets of versions: common
// ancestors that are no ancestor of another one, sorted by [Node.Seq], greatest
// first, and by hash. There is none where the histories are unrelated, and more
// than one where they crossed. A version is an ancestor of itself.
//
// It walks from the newest down, and stops as soon as all that is left lies
// below a common ancestor.
func MergeBases(load Load, a, b []string) ([]Node, error) {
	g := newGraph(load)
	q := &queue{compare: bySeq}
	marks := map[string]int{}
	live := 0 // nodes in the queue that are not stale
	reach := func(hashes []string, mark int) error {
		nodes, err := g.get(hashes)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			before, queued := marks[n.Hash]
			marks[n.Hash] = before | mark
			switch {
			case !queued && mark&stale == 0:
				live++
			case queued && before&stale == 0 && mark&stale != 0:
				live--
			}
			q.push(n)
		}
		return nil
	}
	if err := reach(a, left); err != nil {
		return nil, err
	}
	if err := reach(b, right); err != nil {
		return nil, err
	}
	var bases []Node
	for live > 0 {
		n := q.pop()
		mark := marks[n.Hash]
		if mark&stale == 0 {
			live--
		}
		pass := mark
		if mark&(left|right) == left|right && mark&stale == 0 {
			bases = append(bases, n)
			pass |= stale
		}
		// All descendants of n were looked at: its Seq is the greatest left. So its
		// marks are final, and a base that was found is no ancestor of another one.
		if err := reach(n.Parents, pass); err != nil {
			return nil, err
		}
	}
	return bases, nil
}

// Contains reports whether ancestor is an ancestor of version, or version itself.
func Contains(load Load, version, ancestor string) (bool, error) {
	g := newGraph(load)
	want, err := g.get([]string{ancestor, version})
	if err != nil {
		return false, err
	}
	q := &queue{compare: bySeq}
	q.push(want[1])
	for len(q.items) > 0 {
		n := q.pop()
		if n.Hash == ancestor {
			return true, nil
		}
		if n.Seq <= want[0].Seq {
			continue // what lies below is older still
		}
		parents, err := g.get(n.Parents)
		if err != nil {
			return false, err
		}
		for _, p := range parents {
			q.push(p)
		}
	}
	return false, nil
}

// Walk calls visit for every ancestor of tips, the tips included, newest first
// and every version before its parents, until visit returns false. It returns
// what it would have gone on from: walking from there continues the walk.
func Walk(load Load, tips []string, visit func(Node) bool) (rest []string, err error) {
	g := newGraph(load)
	q := &queue{compare: newestFirst}
	next := tips
	for {
		nodes, err := g.get(next)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			q.push(n)
		}
		if len(q.items) == 0 {
			return nil, nil
		}
		n := q.items[0]
		if !visit(n) {
			for _, n := range q.items {
				rest = append(rest, n.Hash)
			}
			return rest, nil
		}
		delete(g.nodes, n.Hash) // it does not come again: its children all came before
		q.pop()
		next = n.Parents
	}
}
