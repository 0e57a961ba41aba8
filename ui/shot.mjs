import { execFileSync } from "node:child_process";
import { chromium } from "@playwright/test";

const link = execFileSync("/tmp/ui-srv/nixspace", ["web"], { env: { ...process.env, NIXSPACE_STATE: "/tmp/ui-state" } })
  .toString()
  .trim();
const base = new URL(link).origin;
const [, , ...args] = process.argv; // path:name[:theme[:width]]
const b = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const ctx = await b.newContext({ viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1 });
const page = await ctx.newPage();
page.on("console", (m) => ["error", "warning"].includes(m.type()) && console.log("console:", m.text()));
page.on("pageerror", (e) => console.log("pageerror:", e.message));
await page.goto(link);
await page.getByRole("heading", { name: "Home" }).waitFor();
for (const a of args) {
  const [path, name, theme = "light", width = "1280", keys = ""] = a.split("|");
  await page.setViewportSize({ width: +width, height: +width < 500 ? 844 : 800 });
  await page.emulateMedia({ colorScheme: theme });
  await page.goto(base + path);
  await page.waitForLoadState("networkidle").catch(() => {});
  await page.waitForTimeout(700);
  for (const k of keys.split(" ").filter(Boolean)) {
    await page.keyboard.press(k);
    await page.waitForTimeout(400);
  }
  await page.screenshot({ path: `/tmp/ui-shots/${name}.png` });
}
await b.close();
