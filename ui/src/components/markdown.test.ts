import { expect, it } from "vitest";
import { markdown } from "./markdown";

it("renders what people write", () => {
  expect(markdown("# Shop\n\n`npm test` *now*")).toBe("<h2>Shop</h2>\n<p><code>npm test</code> <em>now</em></p>\n");
  expect(markdown("|a|\n|-:|\n|1|")).toContain('<th class="align-right">a</th>');
  expect(markdown("[x](https://example.org/y)")).toContain(
    '<a href="https://example.org/y" target="_blank" rel="noopener noreferrer nofollow">x</a>',
  );
});

it("lets nothing of a stranger act, or be fetched", () => {
  const hostile = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "![x](https://example.org/track.png)",
    '![x](x "onerror=alert(1)")',
    "<https://example.org/><script>",
    "[x](/sign-in#code)",
    '[x](https://example.org/"onmouseover="alert(1))',
    "| <b onclick=x> |\n|-|\n| <iframe src=y> |",
    "```html\n</code></pre><script>1</script>\n```",
    "[a]: javascript:x\n\n[a]",
  ];
  for (const text of hostile) {
    const html = markdown(text);
    const tags = [...html.matchAll(/<\/?([a-z0-9]+)([^>]*)>/gi)];
    for (const [all, tag, attributes] of tags) {
      expect(["p", "a", "span", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"], all).toContain(tag);
      expect(attributes!.replace(/"[^"]*"/g, '""').trim(), all).toMatch(/^((href|target|rel|class)=""\s*)*$/);
      expect(/href="(?!https?:)/i.test(attributes!), all).toBe(false);
    }
  }
});
