"""Reading a page's form as a browser would send it back."""

from html.parser import HTMLParser


def fields_of(html: str, form_id: str | None = None) -> dict[str, str]:
    """The names and values of the form with this id (or of the one with the most fields), unchanged."""
    parser = _Forms()
    parser.feed(html)
    if form_id is not None:
        return parser.forms[form_id]
    return max(parser.forms.values(), key=len)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}
        self._select = ""
        self._text_area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name = attributes.get("name", "")
        if tag == "form":
            self._fields = {}
            self.forms[attributes.get("id", str(len(self.forms)))] = self._fields
        elif tag == "input" and name:
            self._take_input(name, attributes)
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in attributes and self._select:
            self._fields[self._select] = attributes.get("value", "")
        elif tag == "textarea" and name:
            self._text_area = name
            self._fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._text_area:
            self._fields[self._text_area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text_area = ""
        elif tag == "select":
            self._select = ""

    def _take_input(self, name: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text")
        is_ticked = kind not in {"checkbox", "radio"} or "checked" in attributes
        if kind not in {"submit", "button", "file"} and is_ticked:
            default = "on" if kind in {"checkbox", "radio"} else ""
            self._fields[name] = attributes.get("value", default)
