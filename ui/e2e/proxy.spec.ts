import { expect, test } from "@playwright/test";
import { Guard } from "./guard";
import { ReverseProxy } from "./proxy";
import { folder, Server } from "./server";

const server = new Server(["--path-prefix", "/tools/nixspace"]);
const proxy = new ReverseProxy();

test.beforeAll(async () => {
  await server.start();
  await proxy.start("/tools/nixspace", () => new URL(server.url));
  server.cli("create", "shop", folder("examples/shop"));
});

test.afterAll(async () => {
  proxy.stop();
  await server.remove();
});

test("all of it works below a path of a proxy", async ({ page }) => {
  const guard = new Guard(page, () => new URL(proxy.url).host);
  const code = new URL(server.link()).hash;
  await page.goto(`${proxy.url}/sign-in${code}`);
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  expect(new URL(page.url()).pathname).toMatch(/^\/tools\/nixspace\/?$/);
  // By links, with parts of the page that are loaded late.
  await page.getByRole("link", { name: /shop.*1 environment/ }).click();
  await page.getByRole("main").getByRole("link", { name: /^shop/ }).first().click();
  await expect(page).toHaveURL(`${proxy.url}/e/shop/shop`);
  await expect(page.getByLabel("Version of postgresql")).toHaveValue("15");
  await expect(page.getByRole("link", { name: /^shop\s*\d/ })).toHaveClass(/here/);
  // By address.
  await page.goto(`${proxy.url}/p/shop/readme`);
  await expect(page.getByRole("heading", { name: "Tea shop" })).toBeVisible();
  // News, over a socket.
  await page.goto(`${proxy.url}/p/shop`);
  await expect(page.getByRole("link", { name: /shop/ }).first()).toBeVisible();
  server.cli("branch", "shop", "behind");
  await expect(page.getByRole("link", { name: /behind/ })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await expect(page).toHaveURL(`${proxy.url}/sessions`);
  await page.goBack();
  await expect(page).toHaveURL(`${proxy.url}/p/shop`);
  expect(proxy.astray.filter((url) => url !== "/favicon.ico")).toEqual([]);
  guard.check();
});

test("past the proxy, the page leads itself below the path", async ({ page }) => {
  await page.goto(server.link());
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  expect(new URL(page.url()).pathname).toMatch(/^\/tools\/nixspace\/?$/);
});
