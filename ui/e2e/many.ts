import type { Page } from "@playwright/test";

/** Answers the question for a project's environments with that many. Everything else goes to the server. */
export async function branches(page: Page, total: number): Promise<void> {
  const nodes = Array.from({ length: total }, (_, i) => {
    const hash = (i * 2654435761).toString(16).padStart(12, "0").repeat(6).slice(0, 64);
    return {
      id: `id-${i}`,
      ref: `shop/feature-${i}`,
      name: `feature-${i}`,
      hash,
      updatedAt: "2026-01-02T03:04:05Z",
      parent: i ? { id: `id-${Math.floor((i - 1) / 8)}`, name: `feature-${Math.floor((i - 1) / 8)}`, hash: "" } : null,
      head: {
        id: `version-${i}`,
        hash,
        message: `Set postgresql to ${13 + (i % 6)}`,
        packages: [
          { name: "nodejs", version: "22.23.3" },
          { name: "postgresql", version: `${13 + (i % 6)}.1` },
        ],
      },
    };
  });
  await page.route("**/graphql", async (route) => {
    const body = route.request().postDataJSON() as { operationName?: string; variables?: { after?: string | null } };
    if (body?.operationName !== "BranchRows") return route.fallback();
    const from = Number(body.variables?.after ?? 0);
    const to = Math.min(total, from + 500);
    return route.fulfill({
      json: {
        data: {
          environments: {
            totalCount: total,
            nodes: nodes.slice(from, to),
            pageInfo: { hasNextPage: to < total, endCursor: String(to) },
          },
        },
      },
    });
  });
}
