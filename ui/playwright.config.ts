import { defineConfig } from "@playwright/test";

// The browser is the system's: Debian's package chromium, or the one named here.
const executablePath = process.env.NIXSPACE_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  workers: 1, // one server, one story
  fullyParallel: false,
  maxFailures: 1,
  timeout: 8 * 60_000,
  expect: { timeout: 90_000 }, // machines that test are busy
  reporter: process.env.CI ? [["list"], ["github"]] : [["list"]],
  use: {
    viewport: { width: 1280, height: 800 },
    actionTimeout: 90_000,
    navigationTimeout: 90_000,
    trace: "retain-on-failure",
    launchOptions: {
      executablePath,
      args: [
        "--no-sandbox", // the tests may run as root
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
