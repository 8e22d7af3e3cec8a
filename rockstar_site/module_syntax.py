"""The imports and exports of a JavaScript module: enough syntax for `bundle.py`. Anything else raises ValueError.

It is no parser: it knows strings, templates, patterns, comments and brackets, and so which text is code, and which
code is at the top level. There it reads the statements that begin with `import` and `export`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<open>[({\[]) | (?P<close>[)}\]]) | (?P<tick>`) | (?P<slash>/) | (?P<stray>["'])""",
    re.VERBOSE | re.DOTALL,
)
_PATTERN = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_TEXT = re.compile(r"((?:[^`\\$]|\\.|\$(?!\{))*)(`|\$\{)", re.DOTALL)
_CLOSING = {"(": ")", "{": "}", "[": "]", "${": "}"}
# A slash begins a pattern after the first, and divides after the second. After `)` and `}` it may do either: it is
# taken for a division if that makes no difference.
_BEFORE_PATTERN = re.compile(
    r"""(?:(?<![.\w$])(?:return|typeof|case|in|of|delete|void|throw|new|instanceof|do|else|yield|await)
      |(?<!\+)\+|(?<!-)-|[(,=:\[!&|?{;*%^~<>])\Z""",
    re.VERBOSE,
)
_BEFORE_DIVISION = re.compile(r"""[\w$\]"'`]\Z""")

# Parentheses are balanced in a pattern too.
_HIDES = re.compile(r"""["'`{}\[\\]""")

_NAME = r"[\w$]+"
# In code with masked texts: a string is underscores between its quotes.
_FROM = r"""(?P<quote>["'])(?P<from>_+)(?P=quote)"""
# No property, but three dots may stand before it.
_WORD = r"(?<![\w$#])(?<!(?<!\.\.)\.)"
_KEYWORD = re.compile(_WORD + r"(?:import|export)\b(?!\s*[(.])")
_CALL = re.compile(_WORD + r"import\s*[(.]")
_LAZY = re.compile(rf"import\(\s*{_FROM}\s*\)")
_IMPORT = re.compile(
    rf"import\b\s*(?:(?:\{{(?P<names>[^}}]*)\}}|(?P<default>{_NAME}))\s*from\s*)?{_FROM}\s*;"
)
_LIST = re.compile(rf"export\s*\{{(?P<names>[^}}]*)\}}\s*(?:from\s*{_FROM}\s*)?(?:;|\s*\Z)")
_DECLARATION = re.compile(
    rf"export\s+(?=(?:const\s|class\s|(?:async\s+)?function\b\s*\*?)\s*(?P<name>{_NAME})\b)"
)
# With a name it would be a declaration too.
_DEFAULT = re.compile(r"export\s+default\s+function\s*(?=\()")
_ALIAS = re.compile(rf"({_NAME})(?:\s+as\s+({_NAME}))?")


@dataclass(frozen=True, slots=True)
class Import:
    """`import` and what it takes: the names in the imported module by those in this one."""

    start: int
    end: int
    specifier: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Export:
    """`export`: the names in this module, or in the one of `specifier`, by those for others."""

    start: int
    end: int
    names: Mapping[str, str]
    # Stands in the place of the text.
    replacement: str = ";"
    specifier: str | None = None


@dataclass(frozen=True, slots=True)
class Lazy:
    """The call of `import()` with a string."""

    start: int
    end: int
    specifier: str


Statement = Import | Export | Lazy


def statements(source: str) -> list[Statement]:
    """Return the imports and exports of a module in their order. Raises ValueError for what it does not know."""
    masked = _Masked(source)
    code, top = masked.code, masked.top
    found = [_call(source, code, match.start()) for match in _CALL.finditer(code)]
    found += [_statement(source, code, top, match.start()) for match in _KEYWORD.finditer(top)]
    return sorted(found, key=lambda each: each.start)


def without_comments(source: str) -> str:
    """Return a script without its comments. Raises ValueError for text that may be a division or a pattern."""
    parts: list[str] = []
    at = 0
    for start, end in _Masked(source).comments:
        # A line that ends may end a statement.
        parts += source[at:start], "\n" if "\n" in source[start:end] else " "
        at = end
    return "".join([*parts, source[at:]])


def _call(source: str, code: str, at: int) -> Statement:
    if match := _LAZY.match(code, at):
        return Lazy(at, match.end(), _specifier(source, match))
    raise _unknown(source, at)


def _statement(source: str, code: str, top: str, at: int) -> Statement:
    if match := _IMPORT.match(code, at):
        names = {match["default"]: "default"} if match["default"] else _names(source, match)
        return Import(at, match.end(), _specifier(source, match), names)
    if match := _LIST.match(code, at):
        # `inner as outer` in the list is `outer: inner` in the names.
        names = _names(source, match)
        if not match["from"] and any(_is_let(name, top) for name in names.values()):
            raise _unknown(source, at)
        return Export(at, match.end(), names, specifier=_specifier(source, match) if match["from"] else None)
    if match := _DECLARATION.match(code, at):
        return Export(at, match.end(), {match["name"]: match["name"]}, "")
    if match := _DEFAULT.match(code, at):
        return Export(at, match.end(), {"default": "_default"}, "function _default")
    raise _unknown(source, at)


def _is_let(name: str, top: str) -> bool:
    """Whether a variable may change, which the modules that import it would see."""
    return re.search(rf"\blet\b[^;]*(?<![\w$.]){re.escape(name)}(?![\w$])", top) is not None


def _specifier(source: str, match: re.Match[str]) -> str:
    specifier = source[slice(*match.span("from"))]
    if "\\" in specifier:
        raise _unknown(source, match.start())
    return specifier


def _names(source: str, match: re.Match[str]) -> dict[str, str]:
    """Return the name before each `as` by the one after it."""
    names = {}
    for part in filter(None, map(str.strip, (match["names"] or "").split(","))):
        alias = _ALIAS.fullmatch(part)
        if alias is None:
            raise _unknown(source, match.start())
        names[alias[2] or alias[1]] = alias[1]
    return names


def _unknown(source: str, at: int) -> ValueError:
    return ValueError(f"Line {source.count(chr(10), 0, at) + 1} is not understood: {source[at : at + 80]!r}")


class _Masked:
    """The code, and the code outside of brackets, each as long as the source.

    In the first comments are spaces, and the characters of strings, templates and patterns are underscores.
    In the second all that stands in brackets is underscores too.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._code: list[str] = []
        self._top: list[str] = []
        self._brackets: list[str] = []
        # Their first and last positions.
        self.comments: list[tuple[int, int]] = []
        while token := _TOKEN.search(source, self._at):
            self._add(source[self._at : token.start()])
            self._take(str(token.lastgroup), token[0])
        self._add(source[self._at :])
        if self._brackets:
            raise ValueError(f"A {self._brackets[-1]} is not closed.")
        self.code, self.top = "".join(self._code), "".join(self._top)

    def _take(self, kind: str, text: str) -> None:
        match kind:
            case "comment":
                self.comments.append((self._at, self._at + len(text)))
                self._add(" " * len(text))
            case "string":
                self._add(_hidden(text))
            case "open":
                self._open(text)
            case "close":
                self._close(text)
            case "tick":
                self._add(text)
                self._template()
            case "slash":
                self._slash()
            case _:
                raise _unknown(self._source, self._at)

    def _add(self, code: str) -> None:
        self._at += len(code)
        self._code.append(code)
        self._top.append("_" * len(code) if self._brackets else code)

    def _open(self, bracket: str) -> None:
        self._add(bracket)
        self._brackets.append(bracket)

    def _close(self, bracket: str) -> None:
        opened = self._brackets.pop() if self._brackets else ""
        if _CLOSING.get(opened) != bracket:
            raise _unknown(self._source, self._at)
        self._add(bracket)
        if opened == "${":
            self._template()

    def _template(self) -> None:
        """Take the text of a template, up to its end or to the next value in it."""
        text = _TEXT.match(self._source, self._at)
        if text is None:
            raise _unknown(self._source, self._at)
        self._add("_" * len(text[1]))
        if text[2] == "`":
            self._add("`")
        else:
            self._open("${")

    def _slash(self) -> None:
        before = "".join(self._code).rstrip()[-20:]
        pattern = _PATTERN.match(self._source, self._at)
        if not before or _BEFORE_PATTERN.search(before):
            if pattern is None:
                raise _unknown(self._source, self._at)
            self._add(_hidden(pattern[0]))
        elif pattern is None or _BEFORE_DIVISION.search(before) or not _HIDES.search(pattern[0]):
            self._add("/")
        else:
            raise _unknown(self._source, self._at)


def _hidden(text: str) -> str:
    return text[0] + "_" * (len(text) - 2) + text[-1]
