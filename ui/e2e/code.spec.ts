import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { Guard } from "./guard";
import { Server } from "./server";

// One editor on one session of one real server: every test goes on where the last one
// ended.
test.describe.configure({ mode: "serial" });

const server = new Server();
const file = 'console.log("before");\n';
let code = "";
let context: BrowserContext;
let home: Page;
let page: Page;
let guard: Guard;

const run = (...argv: string[]) => server.cli("exec", "web/1", "--", ...argv);

test.beforeAll(async ({ browser }) => {
  await server.start();
  code = mkdtempSync(join(tmpdir(), "nixspace-code-"));
  writeFileSync(join(code, "nixspace.toml"), 'schema = 1\n\n[packages]\nnodejs = "22"\ngit = "*"\n');
  writeFileSync(join(code, "app.js"), file);
  execFileSync("mkdir", ["-p", join(code, "lib")]);
  writeFileSync(join(code, "lib/needle.ts"), "export const hay = 1;\nexport const needle = 2;\n");
  server.cli("git", "identity", "Ada", "ada@example.org");
  server.cli("create", "web", code);
  server.cli("start", "web");
  run("git", "init", "-q", "-b", "main");
  run("git", "add", "-A");
  run("git", "commit", "-q", "-m", "first");
  context = await browser.newContext();
  home = await context.newPage();
  await home.goto(server.link());
  await expect(home.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  await home.goto(`${server.url}/s/web/web/1`);
});

test.afterEach(() => guard?.check());

test.afterAll(async () => {
  await context?.close();
  await server.remove();
  if (code) rmSync(code, { recursive: true, force: true });
});

const tree = () => page.getByRole("treeitem");

test("a click opens the workbench on the session's files", async () => {
  const opened = context.waitForEvent("page");
  await home.getByRole("button", { name: "Open in VS Code" }).click();
  const begin = Date.now();
  page = await opened;
  guard = new Guard(page, () => `code--1--web--web.localhost:${new URL(server.url).port}`);
  await expect(tree().filter({ hasText: "app.js" })).toBeVisible();
  console.log(`file tree ${Date.now() - begin} ms after the click, a browser that was never there`);
  expect(new URL(page.url()).host).toMatch(/^code--1--web--web\.localhost:/);
  await page.reload();
  const again = Date.now();
  await expect(tree().filter({ hasText: "app.js" })).toBeVisible();
  console.log(`and ${Date.now() - again} ms after loading it again`);
  await page.screenshot({ path: "e2e/output/code.png" });
});

test("a file that is edited and saved is the session's", async () => {
  await tree().filter({ hasText: "app.js" }).dblclick();
  const lines = page.locator(".monaco-editor .view-lines").first();
  await expect(lines).toContainText("before");
  await lines.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("// edited in the browser: Ä");
  await page.keyboard.press("Control+s");
  await expect(page.locator(".tab.dirty")).toHaveCount(0);
  expect(run("cat", "app.js")).toBe(`${file}// edited in the browser: Ä`);
});

test("what cannot be saved does not look as if it was", async () => {
  run("sh", "-c", "mkdir gone && echo one > gone/a.txt");
  await tree().filter({ hasText: "gone" }).click();
  await tree().filter({ hasText: "a.txt" }).dblclick();
  const lines = page.locator(".monaco-editor .view-lines").first();
  await expect(lines).toContainText("one");
  run("sh", "-c", "mv gone gone.away && touch gone"); // a file where its folder was
  await lines.click();
  await page.keyboard.press("Control+Home");
  await page.keyboard.type("two ");
  guard.allow = /Failed to save/;
  await page.keyboard.press("Control+s");
  await expect(page.locator(".notification-toast")).toContainText("Failed to save");
  await expect(page.locator(".tab.dirty")).toHaveCount(1);
  run("sh", "-c", "rm gone && mv gone.away gone");
  await page.locator(".notification-toast").getByRole("button", { name: "Retry" }).click();
  await expect(page.locator(".tab.dirty")).toHaveCount(0);
  guard.allow = undefined;
  expect(run("cat", "gone/a.txt")).toBe("two one\n");
  run("rm", "-r", "gone");
  await page.keyboard.press("Control+w");
});

test("what happens in the session is seen", async () => {
  run("sh", "-c", "echo fresh > fresh.txt");
  await expect(tree().filter({ hasText: "fresh.txt" })).toBeVisible();
  run("rm", "fresh.txt");
  await expect(tree().filter({ hasText: "fresh.txt" })).toHaveCount(0);
});

test("files are found by name and by what is in them", async () => {
  await page.keyboard.press("Control+p");
  await page.keyboard.type("needl");
  await expect(page.locator(".quick-input-list").getByText("needle.ts")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+Shift+f");
  await expect(page.locator(".search-view textarea").first()).toBeFocused();
  await page.keyboard.type("const needle");
  await page.keyboard.press("Enter");
  await expect(page.locator(".search-view .monaco-list-row").getByText("needle.ts")).toBeVisible();
  await expect(page.locator(".search-view .messages")).toContainText("1 result in 1 file");
});

test("a terminal", async () => {
  await page.keyboard.press("Control+`");
  await expect(page.locator(".terminal .xterm-screen")).toBeVisible();
  await page.locator(".terminal .xterm-helper-textarea").first().focus();
  await page.keyboard.type("echo $((6 * 7)) > made && pwd >> made\n");
  await expect.poll(() => run("sh", "-c", "cat made 2>/dev/null || true")).toBe("42\n/workspace\n");
  // It is one of the session's.
  expect(server.cli("shell", "web/1", "--list")).toMatch(/^code /m);
  await page.screenshot({ path: "e2e/output/code-terminal.png" });
});

test("what git says has changed", async () => {
  await page.keyboard.press("Control+Shift+g");
  const changes = page.locator(".scm-view");
  await expect(changes.getByText("made")).toBeVisible();
  await changes.getByText("app.js").click();
  const diff = page.locator(".monaco-diff-editor");
  await expect(diff.locator(".editor.modified .view-lines")).toContainText("edited in the browser");
  await expect(diff.locator(".editor.original .view-lines")).not.toContainText("edited in the browser");
  await page.screenshot({ path: "e2e/output/code-diff.png" });
  await changes.locator(".scm-editor .view-lines").click();
  await page.keyboard.type("from the browser");
  await page.keyboard.press("Control+Enter");
  await expect(changes.getByText("app.js")).toHaveCount(0);
  expect(run("git", "log", "-1", "--format=%s by %an", "--stat")).toMatch(/^from the browser by Ada[\s\S]*app\.js/);
});

test("the server may be killed meanwhile", async () => {
  await page.keyboard.press("Control+Shift+e");
  await page.locator(".tab").filter({ hasText: "app.js" }).first().click();
  guard.allow = /WebSocket|Failed to load resource/;
  await server.kill();
  await expect(page.locator(".statusbar").getByText("Connecting again")).toBeVisible();
  const lines = page.locator(".monaco-editor .view-lines").first();
  await lines.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\n// and once more");
  await server.start();
  await expect(page.locator(".statusbar").getByText("Connecting again")).toBeHidden();
  await page.keyboard.press("Control+s");
  await expect(page.locator(".tab.dirty")).toHaveCount(0);
  expect(run("tail", "-1", "app.js")).toContain("// and once more");
});

test("a link to a line of a file", async () => {
  const { open } = JSON.parse(server.cli("open", "web/1", "--file", "lib/needle.ts:2", "--json"));
  const other = await context.newPage();
  await other.goto(open);
  await expect(other.locator(".monaco-editor .view-lines")).toContainText("needle");
  await expect(other.locator(".statusbar")).toContainText("Ln 2, Col 1");
  expect(new URL(other.url()).search).toBe("");
  await other.close();
});

test("git is lent a token, for its host alone and never written", async () => {
  const token = "let-me-in-4711";
  server.cliWith(token, "git", "login", "git.example.org", "--user", "ada", "--token-stdin");
  const ask = (host: string) =>
    run(
      "sh",
      "-c",
      `printf 'protocol=https\\nhost=${host}\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill 2>&1 || true`,
    );
  expect(ask("git.example.org")).toContain(`username=ada\npassword=${token}`);
  expect(ask("evil.example.org")).not.toContain(token);
  expect(run("sh", "-c", `grep -rls ${token.slice(0, 9)} /tmp /home /workspace /run /data 2>/dev/null || true`)).toBe(
    "",
  );
});

test("the same files by SSH", async () => {
  expect(server.cli("ssh", "web/1", "--", "id -un; pwd; git log -1 --format=%an")).toBe("dev\n/workspace\nAda\n");
});

test("no page of another origin gets to the editor's sockets", async () => {
  const stranger = await context.newPage();
  await stranger.goto(server.url);
  const outcome = await stranger
    .evaluate(
      (address) =>
        new Promise((resolve) => {
          const ws = new WebSocket(address, "nixspace.code.v1");
          ws.onopen = () => resolve("open");
          ws.onerror = () => resolve("refused");
        }),
      `ws://${new URL(page.url()).host}/api/socket`,
    )
    .catch(() => "refused");
  expect(outcome).toBe("refused");
  // The platform's cookie is not on the editor's host.
  const cookies = await context.cookies(page.url());
  expect(cookies.map((c) => c.name).join()).toMatch(/^nixspace-preview-\d+$/);
  await stranger.close();
});
