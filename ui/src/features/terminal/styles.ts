/**
 * Makes xterm keep to the page's policy. It makes stylesheets of text and style
 * attributes, which the policy refuses; the same rules by way of the style sheet
 * API are the page's own doing. Of what the page creates otherwise, nothing changes.
 */
export function keepToPolicy(): void {
  if (Object.hasOwn(document, "createElement")) return;
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions): HTMLElement => {
    if (name === "style") return sheet(create("span"));
    const el = create(name, options);
    if (name === "span") {
      const set = el.setAttribute.bind(el);
      el.setAttribute = (attribute: string, value: string) => {
        if (attribute === "style") el.style.cssText = value;
        else set(attribute, value);
      };
    }
    return el;
  }) as typeof document.createElement;
}

/** An element in the place of a style element: its text becomes a style sheet of the document's. */
function sheet(el: HTMLElement): HTMLElement {
  const rules = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  el.hidden = true;
  for (const property of ["textContent", "innerText"]) {
    Object.defineProperty(el, property, { get: () => "", set: (text: string) => rules.replaceSync(text) });
  }
  el.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== rules);
    Element.prototype.remove.call(el);
  };
  return el;
}
