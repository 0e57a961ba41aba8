import { expect, test } from "@playwright/test";
import { Server } from "./server";

const server = new Server();

test.beforeAll(() => server.start());
test.afterAll(() => server.remove());

test("somebody accepts an invitation, signs out and in again, and loses access at once", async ({ page }) => {
  const link = server.cli("user", "invite", "ada").trim();
  await page.goto(link);
  await expect(page.getByText("You are invited")).toBeVisible();
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page.getByText("fewer than 10 characters")).toBeVisible();
  await page.getByLabel("Password").fill("correct horse battery");
  if (process.env.NIXSPACE_SCREENSHOT) await page.screenshot({ path: process.env.NIXSPACE_SCREENSHOT });
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  expect(page.url()).not.toContain("nxi_");
  // The invitation was good once.
  await page.context().clearCookies();
  await page.goto(link);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page.getByText("no longer, good")).toBeVisible();
  await page.goto(server.url);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("a wrong password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("the name or the password is wrong")).toBeVisible();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  server.cli("user", "set", "ada", "--disable");
  await page.reload();
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
});
