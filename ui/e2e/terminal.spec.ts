import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { accessible, Guard } from "./guard";
import { Server } from "./server";

// One session on one real server: every test goes on where the last one ended.
test.describe.configure({ mode: "serial" });

const server = new Server();
let code = "";
let context: BrowserContext;
let page: Page;
let guard: Guard;

test.beforeAll(async ({ browser }) => {
  await server.start();
  code = mkdtempSync(join(tmpdir(), "nixspace-code-"));
  writeFileSync(join(code, "nixspace.toml"), 'schema = 1\n\n[packages]\nnodejs = "22"\n');
  writeFileSync(join(code, "README.md"), "# web\n");
  server.cli("create", "web", code);
  context = await browser.newContext();
  page = await context.newPage();
  guard = new Guard(page, () => new URL(server.url).host);
  await page.goto(server.link());
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
});

test.afterEach(() => guard.check());

test.afterAll(async () => {
  await context?.close();
  await server.remove();
  if (code) rmSync(code, { recursive: true, force: true });
});

/** What the screen shows, as text. */
const rows = (p: Page) => p.locator(".screen:not([hidden]) .xterm-rows");
const type = (text: string) => page.keyboard.type(text);

async function picture(name: string): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
    await page.waitForTimeout(400); // the theme fades
    await page.screenshot({ path: `e2e/output/${name}-${theme}.png` });
    await accessible(page, `${name}, ${theme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

test("from home to a terminal", async () => {
  let clicks = 0;
  const click = async (name: string | RegExp, role: "link" | "button" = "link") => {
    clicks++;
    await page.getByRole("main").getByRole(role, { name }).first().click();
  };
  await click(/web.*1 environment/);
  await click(/^web/);
  await click("Open terminal", "button");
  await expect(rows(page)).toContainText("$", { timeout: 6 * 60_000 });
  expect(clicks).toBeLessThanOrEqual(6);
  await expect(page.locator(".screen:not([hidden]) textarea")).toBeFocused();
  await type("echo hello from $((6*7)); node --version\n");
  await expect(rows(page)).toContainText("hello from 42");
  await expect(rows(page)).toContainText("v22.");
  await type(
    "printf '\\e[31mred \\e[32mgreen \\e[33myellow \\e[34mblue \\e[35mmagenta \\e[36mcyan \\e[38;2;240;120;60mtrue\\e[0m wide 漢字 ✓\\n'\n",
  );
  await expect(rows(page)).toContainText("wide 漢字 ✓");
  await picture("terminal");
});

test("keys are the terminal's", async () => {
  await type("# ?gh");
  await page.keyboard.press("Control+k"); // the shell's: it deletes to the end of the line
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.keyboard.press("Control+u");
  await page.keyboard.press("Control+Shift+F");
  await page.getByLabel("Search in the terminal").fill("hello");
  await page.keyboard.press("Escape");
  await expect(page.locator(".screen:not([hidden]) textarea")).toBeFocused();
  await page.keyboard.press("Control+Shift+E");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.locator(".screen:not([hidden]) .xterm-screen").click();
});

test("two viewers see the same bytes, and one may only watch", async () => {
  const second = await context.newPage();
  await second.setViewportSize({ width: 900, height: 600 });
  await second.goto(`${server.url}/s/web/web/1/terminal?terminal=main`);
  await expect(rows(second)).toContainText("hello from 42");
  await expect(page.getByText("1 more viewer")).toBeVisible();
  await type("seq 1 500 | md5sum\n");
  await expect(rows(page)).toContainText(/[0-9a-f]{32}/);
  const sum = /[0-9a-f]{32}/.exec((await rows(page).textContent()) ?? "")?.[0];
  await expect(rows(second)).toContainText(sum!);
  await second.getByRole("button", { name: "Only watch" }).click();
  await second.keyboard.type("echo not-typed\n");
  await type("echo typed\n");
  await expect(rows(second)).toContainText("typed");
  await expect(rows(second)).not.toContainText("not-typed");
  await second.screenshot({ path: "e2e/output/terminal-full.png" });
  await second.close();
  await expect(page.getByText("1 more viewer")).toBeHidden();
});

test("much output stalls nothing", async () => {
  const second = await context.newPage();
  await second.goto(`${server.url}/s/web/web/1/terminal?terminal=main`);
  await expect(rows(second)).toContainText("$");
  await type("clear; head -c 20000000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo; echo over $((1+1))\n");
  await expect(rows(page)).toContainText("over 2", { timeout: 4 * 60_000 });
  await expect(rows(second)).toContainText("over 2", { timeout: 4 * 60_000 });
  await second.close();
  await type("clear\n");
});

test("a shell outlives its server, with every byte", async () => {
  guard.allow = /WebSocket|ERR_CONNECTION|Failed to load|Failed to fetch/;
  await type('n=0; step() { n=$((n+1)); echo "step $n: $1"; }; echo my pid $$\n');
  await expect(rows(page)).toContainText(/my pid \d+/);
  const pid = /my pid (\d+)/.exec((await rows(page).textContent()) ?? "")?.[1];
  await type("step before\n");
  await expect(rows(page)).toContainText("step 1: before");
  await server.kill();
  await expect(page.getByText("Connecting again. What you type is kept.")).toBeVisible();
  await type("step while-it-was-gone\n");
  await server.start();
  await expect(rows(page)).toContainText("step 2: while-it-was-gone");
  await type("step after; echo still $$\n");
  await expect(rows(page)).toContainText("step 3: after");
  await expect(rows(page)).toContainText(`still ${pid}`);
  guard.allow = undefined;
});

test("a session that sleeps is woken by a key, and not before", async () => {
  server.cli("hibernate", "web/1");
  await expect(page.getByText("This session sleeps.")).toBeVisible();
  await picture("terminal-asleep");
  expect(server.cli("show", "web/1")).toContain("hibernated");
  await page.locator(".screen:not([hidden]) textarea").focus();
  await type("step woken\n");
  await expect(rows(page)).toContainText("step 4: woken", { timeout: 3 * 60_000 });
});
