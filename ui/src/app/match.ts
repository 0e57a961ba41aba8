/**
 * How well a text matches what somebody typed: 0 for not at all. All letters must
 * come in order; whole words, beginnings and runs count more.
 */
export function score(text: string, typed: string): number {
  const t = text.toLowerCase();
  let total = 1;
  for (const word of typed.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = t.indexOf(word);
    if (at >= 0) {
      const start = at === 0 || /[\s/._-]/.test(t[at - 1]!);
      total += 10 * word.length + (start ? 15 : 0) + (t.length === word.length ? 20 : 0);
      continue;
    }
    let from = 0;
    for (const letter of word) {
      const found = t.indexOf(letter, from);
      if (found < 0) return 0;
      total += found === from ? 2 : 0.5;
      from = found + 1;
    }
  }
  return total - t.length / 200;
}

/** The best matches, best first; all of them, in their order, when nothing is typed. */
export function best<T>(items: T[], typed: string, text: (item: T) => string, limit = 50): T[] {
  if (!typed.trim()) return items.slice(0, limit);
  return items
    .map((item) => ({ item, score: score(text(item), typed) }))
    .filter((s) => s.score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map((s) => s.item);
}
