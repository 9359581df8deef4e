"""What a reader of an HTML page sees."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset({"meta", "input"})


class Reading(HTMLParser):
    """`rows`: the text of each cell by its column, by object. `facts`: what `dt` and `dd` say.

    `links`: where they lead, and their texts.
    """

    def __init__(self, html: str | bytes) -> None:
        super().__init__()
        self.rows: dict[str, dict[str, str]] = {}
        self.tables: list[list[dict[str, str]]] = []
        self.kinds: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.links: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._row: dict[str, str] | None = None
        self._term = ""
        self.feed(html.decode() if isinstance(html, bytes) else html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        fields = dict(attrs)
        if tag not in VOID:
            self._open.append((tag, fields))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self._row = {}
            self.tables[-1].append(self._row)
            if name := fields.get("data-object"):
                self.rows[name], self.kinds[name] = self._row, fields["class"]
        elif tag == "a":
            self.links.append((fields.get("href", ""), ""))
        elif tag in {"h1", "h2"}:
            self.headings.append("")
        elif tag == "dt":
            self._term = ""

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tags = [tag for tag, _ in self._open]
        if "style" in tags or "title" in tags:
            return
        self.text += data
        for tag, fields in self._open:
            if tag == "td":
                self._add(self._row, fields.get("data-name", ""), data)
            elif tag == "th" and fields.get("role") == "rowheader":
                self._add(self._row, "", data)
            elif tag == "a":
                link, text = self.links.pop()
                self.links.append((link, text + data))
            elif tag in {"h1", "h2"}:
                self.headings[-1] += data
            elif tag == "dt":
                self._term += data
            elif tag == "dd":
                self._add(self.facts, self._term, data)

    def _add(self, where, name, text):
        where[name] = where.get(name, "") + text

    @property
    def objects(self):
        return list(self.rows)
