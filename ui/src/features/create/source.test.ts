import { describe, expect, test } from "vitest";
import { choiceText, type Fetched, hasFlake, progressText, sourceText } from "./source";

describe("what is said about a source", () => {
  test("how far a fetch is", () => {
    expect(progressText({ phase: "receive", done: 1, total: 3, unit: "" })).toBe("Receiving, 33 %");
    expect(progressText({ phase: "receive", done: 5, total: 0, unit: "B" })).toBe("Receiving…");
    expect(progressText({ phase: "else", done: 0, total: 0, unit: "" })).toBe("Fetching…");
  });
  test("choices", () => {
    expect(choiceText({ path: "packages.nodejs", value: "22", version: "22.20.0" })).toBe("nodejs 22.20.0");
    expect(choiceText({ path: "services.postgresql", value: "", version: "" })).toBe("service postgresql");
    expect(choiceText({ path: "ports.web", value: "3000", version: "" })).toBe("port 3000");
    expect(choiceText({ path: "scripts.test", value: "npm test", version: "" })).toBe("script test");
  });
  test("a flake", () => {
    expect(hasFlake({ defined: [{ tool: "Nix flake", file: "flake.nix" }] })).toBe(true);
    expect(hasFlake({ defined: [{ tool: "devenv", file: "devenv.nix" }] })).toBe(false);
  });
  test("where it came from", () => {
    const f = { source: "https://github.com/acme/shop.git", code: { commit: "0123456789abcdef" } } as Fetched;
    expect(sourceText(f)).toBe("https://github.com/acme/shop at 0123456789ab");
    expect(sourceText({ source: "template:go", code: { commit: "" } } as Fetched)).toBe("template:go");
  });
});
