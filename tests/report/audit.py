"""Reading a page as a browser would: is it well formed, does anything in it run or load?"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "hr", "wbr"})
# What a report is made of; anything else came in by a name.
TAGS = VOID | {
    *("html", "head", "title", "style", "body", "header", "main", "section", "footer", "nav"),
    *("div", "span", "p", "h1", "h2", "h3", "ul", "li", "dl", "dt", "dd", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "figure", "code", "pre", "a", "b", "i", "em"),
    *("bdi", "time", "svg", "defs", "pattern", "rect", "circle", "path", "g", "text", "tspan"),
    "line",
}
LOADING = frozenset({"src", "srcset", "xlink:href", "data", "action", "poster", "background"})


@dataclass
class Page(HTMLParser):
    """The text of each element by its path, and what is wrong with the page."""

    troubles: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element and its attributes."""
        if tag not in TAGS:
            self.troubles.append(f"<{tag}> in {self._open}")
        for name, value in attrs:
            self._look_at(tag, name, value or "")
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element of a picture that ends at once."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def _look_at(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name in LOADING:
            self.troubles.append(f"{tag} {name}={value}")
        if name == "href":
            self.links.add(value)
        if name == "id":
            if value in self.ids:
                self.troubles.append(f"two elements are called {value}")
            self.ids.add(value)
        if name != "data-title" and "url(" in value and not value.startswith("url(#"):
            self.troubles.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        """See that elements end in the order in which they began."""
        if not self._open or self._open[-1] != tag:
            self.troubles.append(f"</{tag}> in {self._open}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Keep text."""
        if "style" not in self._open:
            self.texts.append(("/".join(self._open), data))
        if self.rows and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All that is to be read."""
        return "".join(text for _, text in self.texts)


def audited(html: str) -> Page:
    """Read a page; an element that never ends is a trouble, as is a link to nowhere."""
    page = Page()
    page.feed(html)
    page.close()
    page.troubles += [f"<{name}> never ends" for name in page._open]
    page.troubles += [f"{link} leads nowhere" for link in page.links - {f"#{i}" for i in page.ids}]
    return page
