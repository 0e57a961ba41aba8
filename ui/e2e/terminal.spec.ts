import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { Guard, pictures } from "./guard";
import { folder, Server } from "./server";

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
  cpSync(folder("ui/e2e/webserver.js"), join(code, "webserver.js"));
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

const picture = (name: string) => pictures(page, name);

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
  await page.locator(".screen:not([hidden]) .xterm-screen").click();
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

test("a preview of a web server, with a socket, and nothing of the platform's", async () => {
  const before = await context.cookies(server.url);
  await page.locator(".screen:not([hidden]) .xterm-screen").click();
  await type("clear; node webserver.js &\n");
  const port = page.getByRole("listitem").filter({ hasText: "3000" });
  await expect(port).toContainText("node webserver.js");
  await picture("session-terminal");
  const opened = page.waitForEvent("popup");
  await port.getByRole("button", { name: "Open a preview of port 3000" }).click();
  const tab = await opened;
  await expect(tab.getByRole("heading", { name: "hello from the session" })).toBeVisible();
  expect(new URL(tab.url()).host).toBe(`3000--1--web--web.localhost:${new URL(server.url).port}`);
  expect(new URL(tab.url()).search).toBe("");
  await expect(tab.locator("#socket")).toHaveText("the socket says echo ping");
  await tab.reload();
  await expect(tab.locator("#socket")).toHaveText("the socket says echo ping");
  await expect(tab.locator("#cookies")).toHaveText("own=1; evil=1");
  // Its cookies are its own, and the platform's are as they were.
  expect(await context.cookies(server.url)).toEqual(before);
  expect(await context.cookies(`http://localhost:${new URL(server.url).port}`)).toEqual([]);
  // It cannot ask the platform for anything.
  const asked = await tab.evaluate(async (platform) => {
    const by = async (address: string) =>
      fetch(address, { method: "POST", credentials: "include", body: "{}" }).then(
        (r) => r.status,
        () => 0,
      );
    return [await by(`${platform}/graphql`), await by("/graphql")];
  }, server.url);
  expect(asked).toEqual([0, 200]); // refused by the browser; and its own page
  // Somebody who is not let in gets a page that leads to the platform and back.
  const stranger = await context.browser()!.newContext();
  const door = await stranger.newPage();
  await door.goto(tab.url());
  await expect(door.getByRole("heading", { name: "This preview is private" })).toBeVisible();
  await door.screenshot({ path: "e2e/output/preview-private.png" });
  await stranger.close();
  await context.clearCookies({ domain: "3000--1--web--web.localhost" });
  await tab.goto(tab.url());
  await tab.getByRole("link", { name: "Open it through NixSpace" }).click();
  await expect(tab.getByRole("heading", { name: "hello from the session" })).toBeVisible();
  // Nothing listens there yet.
  await tab.goto(JSON.parse(server.cli("preview", "web/1", "4000", "--json")).open);
  await expect(tab.getByRole("heading", { name: "Nothing listens on port 4000" })).toBeVisible();
  await tab.screenshot({ path: "e2e/output/preview-nothing.png" });
  await tab.close();
  expect(server.cli("preview", "web/1")).toContain("3000--1--web--web.localhost");
});

test("files go in and out", async () => {
  await page.locator("input[type=file]").setInputFiles({
    name: "notes.txt",
    mimeType: "text/plain",
    buffer: Buffer.from("brought by a page\n"),
  });
  await expect(page.getByText("Uploaded 1 file")).toBeVisible();
  expect(server.cli("exec", "web/1", "--", "cat", "notes.txt")).toBe("brought by a page\n");
  await page.getByRole("button", { name: "Browse" }).click();
  const saved = page.waitForEvent("download");
  await page.getByRole("link", { name: "README.md" }).click();
  expect(readFileSync((await (await saved).path())!, "utf8")).toBe("# web\n");
  await picture("session-files");
  server.cli("cp", join(code, "README.md"), "web/1:copies/");
  expect(server.cli("exec", "web/1", "--", "cat", "copies/README.md")).toBe("# web\n");
  server.cli("cp", "web/1:copies", join(code, "back"));
  expect(readFileSync(join(code, "back/README.md"), "utf8")).toBe("# web\n");
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
