"""Every link of the site leads somewhere."""
import html.parser
import pathlib
import sys

SITE = pathlib.Path(__file__).parent / "site"


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


broken = []
pages = sorted(SITE.glob("**/*.html"))
for page in pages:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    for link in links.found:
        target = link.split("#")[0].split("?")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            base = SITE if target.startswith("/") else page.parent
            if not (base / target.lstrip("/")).exists():
                broken.append(f"{page.relative_to(SITE)}: {link}")
for line in broken:
    print("broken:", line, file=sys.stderr)
print(f"{len(pages)} pages, {len(broken)} broken links")
sys.exit(bool(broken) or not pages)
