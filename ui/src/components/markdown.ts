import MarkdownIt from "markdown-it";

// Without html, what looks like it is shown as text; addresses of scripts are
// refused by the library itself. What is left is made to keep to the page's
// policy: no picture of another host, no style in the text.
const md = new MarkdownIt({ html: false, linkify: false, typographer: false });

md.renderer.rules.image = (tokens, i) => {
  const token = tokens[i]!;
  return `<span class="picture-of">${md.utils.escapeHtml(token.content || "picture")}</span>`;
};

const tableCell = /^t[hd]_open$/;

/** Turns the Markdown of strangers into HTML that does nothing but look. Links leave the page. */
export function markdown(text: string): string {
  const tokens = md.parse(text, {});
  for (const token of tokens) {
    if (tableCell.test(token.type)) {
      const align = /text-align:(\w+)/.exec(token.attrGet("style") ?? "")?.[1];
      token.attrs = align ? [["class", `align-${align}`]] : null;
    }
    // The page has one title already.
    if (token.type === "heading_open" || token.type === "heading_close") {
      token.tag = `h${Math.min(6, Number(token.tag.slice(1)) + 1)}`;
    }
    for (const child of token.children ?? []) {
      if (child.type !== "link_open") continue;
      const href = String(child.attrGet("href") ?? "");
      if (/^https?:\/\//i.test(href) || href.startsWith("mailto:")) {
        child.attrSet("target", "_blank");
        child.attrSet("rel", "noopener noreferrer nofollow");
      } else {
        child.attrs = []; // a file of the code, which is no page here
      }
    }
  }
  return md.renderer.render(tokens, md.options, {});
}
