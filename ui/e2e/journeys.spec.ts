import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { Forge } from "./forge";
import { Guard, pictures } from "./guard";
import { folder, Server } from "./server";

// What people come to do, each from its beginning to its end. One story on one server.
test.describe.configure({ mode: "serial" });

const server = new Server(["--allow-network", "127.0.0.1"]);
const forge = new Forge();
let context: BrowserContext;
let page: Page;
let guard: Guard;

test.beforeAll(async ({ browser }) => {
  await server.start();
  server.cli("create", "shop", folder("examples/shop"));
  await forge.start({
    ".nvmrc": "22\n",
    "package.json": '{"name":"guestbook","dependencies":{"pg":"^8.0.0"}}\n',
    "compose.yaml": "services:\n  db:\n    image: postgres:15\n",
    "README.md": "# Guest book\n\n<script>alert(1)</script> ![x](https://example.org/x.png)\n",
  });
  context = await browser.newContext();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
  guard = new Guard(page, () => new URL(server.url).host);
  await page.goto(server.link());
  await expect(heading("Home")).toBeVisible();
});

test.afterEach(() => guard.check());

test.afterAll(async () => {
  await context?.close();
  await server.remove();
  forge.stop();
});

const open = (path: string) => page.goto(server.url + path);
const heading = (name: string | RegExp) => page.getByRole("heading", { level: 1, name });
const main = () => page.getByRole("main");
const picture = (name: string) => pictures(page, name);

test("a project is made of a repository, by its address", async () => {
  await open(`/#${forge.url}`);
  await expect(page.getByLabel("Repository or archive")).toHaveValue(forge.url);
  await page.getByRole("button", { name: "Look into it" }).click();
  const found = page.getByRole("region", { name: "What was found" });
  await expect(found).toContainText(".nvmrc, line 1");
  await expect(found).toContainText("service postgresql");
  await expect(page.getByLabel("Name")).toHaveValue("guestbook");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByText("Built", { exact: true })).toBeVisible();
  await open("/p/guestbook/readme");
  await expect(page.getByRole("heading", { name: "Guest book" })).toBeVisible();
  await expect(page.getByText("<script>alert(1)</script>")).toBeVisible();
  await picture("readme");
});

test("the manifest is edited with completion, and faults have their lines", async () => {
  await open("/e/guestbook/guestbook/files");
  const text = page.getByLabel("nixspace.toml");
  await expect(text).toHaveValue(/\[packages\]/);
  await text.evaluate((el: HTMLTextAreaElement) => {
    const end = el.value.indexOf("[packages]\n") + "[packages]\n".length;
    el.setRangeText("\n", end, end);
    el.setSelectionRange(end, end);
    el.dispatchEvent(new InputEvent("input", { bubbles: true }));
    el.focus();
  });
  await page.keyboard.type("red");
  await expect(page.getByRole("option", { name: /^redis/ })).toBeVisible();
  await picture("manifest-completion");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter"); // the newest version comes first
  await page.keyboard.type('"');
  await expect(text).toHaveValue(/^redis = "8"$/m);
  await text.evaluate((el: HTMLTextAreaElement) => {
    el.value = `${el.value}\n[resources]\ncpus = "many"\n`;
    el.dispatchEvent(new InputEvent("input", { bubbles: true }));
  });
  await page.getByRole("button", { name: "Change it here" }).click();
  await expect(page.getByRole("button", { name: /^Line \d+/ }).first()).toBeVisible();
  await text.fill((await text.inputValue()).replace('cpus = "many"', "cpus = 2"));
  await page.getByRole("button", { name: "Branch with this change" }).click();
  await page.getByLabel("Name").fill("with-redis");
  await page.getByRole("dialog").getByRole("button", { name: "Branch", exact: true }).click();
  await expect(heading("with-redis")).toBeVisible();
  expect(server.cli("show", "--manifest", "guestbook/with-redis")).toContain('redis = "8"');
  expect(server.cli("show", "--manifest", "guestbook/guestbook")).not.toContain("redis");
});

test("a suggestion is a branch", async () => {
  server.cli("branch", "shop/shop", "old-node", "--set", "nodejs=20");
  await open("/e/shop/old-node");
  await expect(page.getByText(/nodejs 20\.\S+ gets no fixes any more/)).toBeVisible();
  await picture("suggestions");
  await page.getByRole("button", { name: "Branch with this" }).first().click();
  await page.getByLabel("Name").fill("new-node");
  await page.getByRole("dialog").getByRole("button", { name: "Branch", exact: true }).click();
  await expect(heading("new-node")).toBeVisible();
  expect(server.cli("diff", "shop/old-node", "shop/new-node")).toMatch(/packages\.nodejs\s+20/);
});

test("an environment is saved as a template, and a project begins with it", async () => {
  await open("/e/shop/shop");
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Save as a template" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("our-shop");
  await page.getByRole("dialog").getByLabel("What it is, in one line").fill("The shop as we begin it");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByText("The shop as we begin it")).toBeVisible();
  await picture("templates");
  expect(server.cli("templates", "list")).toContain("our-shop");
  const card = page.locator("section").filter({ hasText: "The shop as we begin it" });
  await card.getByRole("link", { name: "Begin with it" }).click();
  await expect(page.getByLabel("nixspace.toml")).toHaveValue(/postgresql = "15"/);
  await open("/templates");
  await page.getByRole("button", { name: "More about our-shop" }).click();
  await page.getByRole("menuitem", { name: "Delete it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("The shop as we begin it")).toBeHidden();
});

test("a merge with a conflict is decided, and a rollback shown before it is done", async () => {
  server.cli("branch", "shop/shop", "quiet", "--set", "env.LOG=warn", "--add", "redis");
  server.cli("branch", "shop/shop", "loud", "--set", "env.LOG=debug");
  await open("/e/shop/loud/merge");
  await page.getByLabel("Merge from").selectOption({ label: "quiet" });
  await expect(page.getByText("1 to decide")).toBeVisible();
  await expect(page.getByRole("button", { name: "Merge", exact: true })).toBeDisabled();
  await picture("merge-conflict");
  await page.getByRole("button", { name: /^quiet/ }).click();
  await expect(page.getByText("merges cleanly")).toBeVisible();
  await page.getByRole("button", { name: "Merge", exact: true }).click();
  await expect(page.getByText(/Merged .*quiet into shop\/loud/)).toBeVisible();
  const manifest = server.cli("show", "--manifest", "shop/loud");
  expect(manifest).toContain('LOG = "warn"');
  expect(manifest).toContain("redis");
  await open("/p/shop/graph");
  await expect(page.getByRole("button", { name: /Merge/ }).first()).toBeVisible();
  await picture("lineage-merge");

  await open("/e/shop/loud/history");
  const before = page.getByRole("listitem").filter({ hasText: "Set env.LOG to debug" });
  await before.getByRole("button", { name: "Roll back" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("listitem").filter({ hasText: "env.LOG" })).toContainText("debug");
  await expect(dialog.getByRole("listitem").filter({ hasText: "packages.redis" })).toContainText("removed");
  await picture("rollback");
  await dialog.getByRole("button", { name: "Roll back" }).click();
  await expect(page.getByText("Rolled shop/loud back")).toBeVisible();
  const after = server.cli("show", "--manifest", "shop/loud");
  expect(after).toContain('LOG = "debug"');
  expect(after).not.toContain("redis");
});

test("commands are there to copy", async () => {
  await open("/e/shop/shop");
  await page.getByText("On the command line").click();
  const row = page.locator(".commands div").filter({ hasText: "Start a session" }).first();
  await row.getByRole("button", { name: "Copy the command" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("nixspace start shop/shop");
  await picture("commands");
});

test("a newcomer is in a terminal of a branch with another PostgreSQL after six clicks", async () => {
  await open("/");
  let clicks = 0;
  const click = async (target: ReturnType<Page["getByRole"]>) => {
    clicks++;
    await target.click();
  };
  await click(main().getByRole("link", { name: /^shop.*environments/ }));
  await click(main().getByRole("link", { name: /^shop/ }).first());
  await click(page.getByLabel("Version of postgresql"));
  await page.keyboard.type("14");
  await click(page.getByRole("button", { name: "Branch with this change" }));
  await click(page.getByRole("dialog").getByRole("button", { name: "Branch", exact: true }));
  await expect(heading("shop-postgresql14")).toBeVisible();
  await click(page.getByRole("button", { name: "Open terminal" }));
  const rows = page.locator(".screen:not([hidden]) .xterm-rows");
  await expect(rows).toContainText("$", { timeout: 6 * 60_000 });
  await page.keyboard.type("psql -Atc 'show server_version'\n");
  await expect(rows).toContainText(/^.*14\.\d+/s);
  expect(clicks).toBeLessThanOrEqual(6);
});

test("a running session is snapshotted, restored and forked from its page", async () => {
  await open("/s/shop/shop-postgresql14/1");
  await expect(heading(/Running/)).toBeVisible();
  // A database is no web server: there is a command instead of a page.
  const database = page.getByRole("listitem").filter({ hasText: "5432" });
  await expect(database.first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Open a preview of port 5432" })).toHaveCount(0);
  await page.getByRole("button", { name: "Forward port 5432: copy the command" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
    "nixspace forward shop/shop-postgresql14/1 5432",
  );
  await expect(page.getByText(/^[\d.]+ MiB of 512 MiB$/)).toBeVisible();
  await expect(page.getByText(/^[\d.]+ of 1$/)).toBeVisible();
  expect(server.cli("show", "shop/shop-postgresql14/1")).toMatch(
    /uses +[\d.]+ MiB of memory; [\d.]+ s of processor time/,
  );
  server.cli("exec", "shop/shop-postgresql14/1", "--", "psql", "-qc", "create table mine (n int)");
  await page.getByLabel("Name of the snapshot").fill("with-table");
  await page.getByRole("button", { name: "Take one" }).click();
  await expect(page.getByText("@with-table", { exact: true })).toBeVisible();
  await picture("session-snapshots");
  server.cli("exec", "shop/shop-postgresql14/1", "--", "psql", "-qc", "drop table mine");

  await page.getByRole("button", { name: "Fork", exact: true }).click();
  await page.getByLabel("How many").fill("2");
  await expect(page.getByRole("dialog")).toContainText("nixspace fork shop/shop-postgresql14/1 --count 2");
  await picture("fork");
  await page.getByRole("button", { name: "Make 2 copies" }).click();
  await expect(page.getByText(/Forked into .*\/2, .*\/3/)).toBeVisible();
  for (const n of [2, 3]) {
    await open(`/s/shop/shop-postgresql14/${n}`);
    await expect(heading(/Running/)).toBeVisible({ timeout: 3 * 60_000 });
    server.cli("stop", `shop/shop-postgresql14/${n}`);
  }

  await open("/s/shop/shop-postgresql14/1");
  await page.getByRole("button", { name: "Restore with-table in a new session" }).click();
  await expect(heading(/Session 4/)).toBeVisible();
  await expect(heading(/Running/)).toBeVisible({ timeout: 3 * 60_000 });
  expect(server.cli("exec", "shop/shop-postgresql14/4", "--", "psql", "-Atc", "select count(*) from mine").trim()).toBe(
    "0",
  );
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(heading(/Stopped/)).toBeVisible({ timeout: 3 * 60_000 });
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Delete with its disk" }).click();
  await expect(page.getByRole("dialog")).toContainText("nixspace rm shop/shop-postgresql14/4");
  await page.getByRole("button", { name: "Delete it with its disk" }).click();
  await expect(heading("shop-postgresql14")).toBeVisible();
  await open("/s/shop/shop-postgresql14/1");
  await page.getByRole("button", { name: "More about with-table" }).click();
  await page.getByRole("menuitem", { name: "Delete it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByText("@with-table", { exact: true })).toBeHidden();
});

test("every page is accessible, asks no other host, and does not jump", async () => {
  const pages = {
    home: "/",
    new: "/new",
    catalog: "/catalog",
    templates: "/templates",
    usage: "/usage",
    settings: "/settings",
    sessions: "/sessions",
    project: "/p/shop",
    table: "/p/shop/table",
    graph: "/p/shop/graph",
    readme: "/p/shop/readme",
    environment: "/e/shop/quiet",
    history: "/e/shop/loud/history",
    compare: "/e/shop/quiet/compare",
    merge: "/e/shop/loud/merge?from=shop/quiet",
    files: "/e/shop/quiet/files",
    session: "/s/shop/shop-postgresql14/1",
    "no-environment": "/e/shop/none",
    nothing: "/nothing/here",
  };
  const shifts: Record<string, number> = {};
  for (const [name, path] of Object.entries(pages)) {
    guard.allow = name.startsWith("no") ? /404/ : undefined;
    await open(path);
    await expect(page.getByRole("heading").first()).toBeVisible();
    await expect(page.locator(".bone")).toHaveCount(0);
    shifts[name] = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          new PerformanceObserver((list) =>
            resolve(list.getEntries().reduce((n, e) => n + (e as unknown as { value: number }).value, 0)),
          ).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(0), 300); // none came
        }),
    );
    await picture(`page-${name}`);
  }
  console.log(`layout shift: ${JSON.stringify(shifts)}`);
  await test.info().attach("layout shift", { body: JSON.stringify(shifts), contentType: "application/json" });
  // What counts as good for those who measure pages on the whole web.
  for (const [name, shift] of Object.entries(shifts)) expect(shift, `${name} jumps`).toBeLessThan(0.1);
});

test("the theme and single keys are settings", async () => {
  await open("/settings");
  await page.getByRole("button", { name: "Dark", exact: true }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("button", { name: "As the system" }).click();
  await page.getByLabel("Single keys do things").uncheck();
  await page.getByRole("heading", { level: 1 }).click();
  await page.keyboard.press("?");
  await page.keyboard.press("g");
  await page.keyboard.press("h");
  await expect(heading("Settings")).toBeVisible();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.getByLabel("Single keys do things").check();
});
