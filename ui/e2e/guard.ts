import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, type Page } from "@playwright/test";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Notes what a page must never do: ask another host, or write an error to the console. */
export class Guard {
  private faults: string[] = [];
  /** Console errors that a test expects, while it expects them. */
  allow: RegExp | undefined;

  constructor(page: Page, host: () => string) {
    page.on("request", (r) => {
      const url = new URL(r.url());
      if (!["data:", "blob:"].includes(url.protocol) && url.host !== host()) this.faults.push(`asked ${r.url()}`);
    });
    page.on("console", (m) => {
      if (m.type() === "error" && !this.allow?.test(m.text())) this.faults.push(`console: ${m.text()}`);
    });
    page.on("pageerror", (e) => this.faults.push(`error: ${e.stack ?? e.message}`));
  }

  check(): void {
    expect(this.faults, "what the page must not do").toEqual([]);
  }
}

interface Axe {
  run(options: unknown): Promise<{
    violations: { id: string; nodes: { target: string[]; failureSummary?: string }[] }[];
  }>;
}

/** Checks a page against WCAG 2.2 AA, as far as a program can. */
export async function accessible(page: Page, where: string): Promise<void> {
  // By the browser's own protocol: the page's policy would let no script of others in.
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: Axe };
    const result = await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return result.violations.map(
      (v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} (${n.failureSummary})`).join("; ")}`,
    );
  });
  expect(violations, `accessibility of ${where}`).toEqual([]);
}

/** Takes a picture in both themes, and checks each for who cannot see it. */
export async function pictures(page: Page, name: string): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
    // What is in a folded part of the page never ends to change.
    await page.evaluate(() => {
      const ends = document.getAnimations().filter((a) => a.effect?.getTiming().iterations !== Infinity);
      return Promise.race([Promise.all(ends.map((a) => a.finished)), new Promise((end) => setTimeout(end, 1000))]);
    });
    await page.screenshot({ path: `e2e/output/${name}-${theme}.png` });
    await accessible(page, `${name}, ${theme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}
