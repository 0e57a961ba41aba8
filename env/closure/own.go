package closure

// Own returns how many bytes of the graph are there for root alone: those of what it
// needs, without what any of the others needs. A root that is not in the graph, of
// either kind, needs nothing.
func (g *Graph) Own(root string, others ...string) int64 {
	shared, mine := g.newSet(), g.newSet()
	for _, o := range others {
		if _, ok := g.index[o]; ok {
			_ = g.reach(shared, o) // it fails where a path is not in the graph
		}
	}
	if _, ok := g.index[root]; !ok {
		return 0
	}
	_ = g.reach(mine, root)
	mine.without(shared)
	_, size := g.pathsOf(mine)
	return size
}
