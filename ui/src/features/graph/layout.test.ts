import { describe, expect, it } from "vitest";
import { type GraphVersion, layout } from "./layout";

const v = (hash: string, parents: string[], ...environments: string[]): GraphVersion => ({
  hash,
  parents,
  environments,
});

describe("layout", () => {
  // shop: a—b—m    pg14: c—d, merged into shop by m    pg13: e, off a
  const versions = [
    v("m", ["b", "d"], "p/shop"),
    v("d", ["c"], "p/pg14"),
    v("e", ["a"], "p/pg13"),
    v("c", ["a"]),
    v("b", ["a"]),
    v("a", []),
  ];
  const g = layout(versions, ["p/shop", "p/pg13", "p/pg14"]);
  const at = (hash: string) => {
    const n = g.nodes.find((x) => x.version.hash === hash)!;
    return [n.lane, n.column];
  };

  it("gives each environment a line, and the first one what all come from", () => {
    expect(g.lanes).toEqual([["p/shop"], ["p/pg13"], ["p/pg14"]]);
    expect([at("a"), at("b"), at("m")]).toEqual([
      [0, 0],
      [0, 1],
      [0, 3],
    ]);
    expect([at("e"), at("c"), at("d")]).toEqual([
      [1, 1],
      [2, 1],
      [2, 2],
    ]);
    expect(g.columns).toBe(4);
  });

  it("draws lines, branches and merges", () => {
    const kinds = g.edges.map((e) => `${e.kind} ${e.from.lane}.${e.from.column}-${e.to.lane}.${e.to.column}`);
    expect(kinds.sort()).toEqual([
      "branch 0.0-1.1",
      "branch 0.0-2.1",
      "line 0.0-0.1",
      "line 0.1-0.3",
      "line 2.1-2.2",
      "merge 2.2-0.3",
    ]);
  });

  it("puts what is newer always further right than its parents", () => {
    for (const e of g.edges) expect(e.to.column).toBeGreaterThan(e.from.column);
  });

  it("keeps what no environment has any more, and what lies beyond the page", () => {
    const cut = layout([v("x", ["gone"], "p/a"), v("y", ["gone"])], ["p/a"]);
    expect(cut.lanes).toEqual([["p/a"], []]);
    expect(cut.edges).toEqual([]);
  });

  it("takes nothing, and much", () => {
    expect(layout([], [])).toEqual({ lanes: [], columns: 0, nodes: [], edges: [] });
    const many = Array.from({ length: 5000 }, (_, i) =>
      v(`v${i}`, i < 4999 ? [`v${i + 1}`] : [], ...(i === 0 ? ["p/a"] : [])),
    );
    expect(layout(many, ["p/a"]).columns).toBe(5000);
  });
});
