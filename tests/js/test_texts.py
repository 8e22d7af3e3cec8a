"""All texts that people see can be translated: by gettext in templates and Python, by `_` and `ngettext` in JavaScript."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Names of emoji and their groups are a table of emojibase-data. The console is for developers.
MODULES = sorted(
    {*(ROOT / "chat/static/chat").rglob("*.js"), *(ROOT / "realtime/static/realtime").rglob("*.js")}
    - {ROOT / "chat/static/chat/lib/emoji-table.js"}
)
# The page of the AsyncAPI document is made of docstrings.
TEMPLATES = sorted(
    {*(ROOT / "templates").rglob("*.html"), *(ROOT / "realtime/templates").rglob("*.html")}
    - {ROOT / "realtime/templates/realtime/asyncapi.html"}
)
# Those of commands are for operators at a shell.
SERVICES = sorted(
    path
    for path in (
        *(ROOT / "realtime").glob("[am]*.py"),
        *(each for app in ("accounts", "chat", "realtime/dashboard") for each in (ROOT / app).rglob("*.py")),
    )
    if not {"migrations", "management"} & set(path.parts) and path.name not in {"api.py", "moved.py"}
)
# What these raise is caught, or a mistake of the programmer.
NOT_SHOWN = {"TypeError", "ValueError"}
REFUSALS = {
    "Refusal",
    "unauthenticated",
    "forbidden",
    "unavailable",
    "_fault",
    "add_error",
    "message_user",
}
SHOWN_ATTRIBUTE = re.compile(r'(?:aria-label|title|placeholder|alt|value)="([^"]*)"')
WORD = re.compile(r"[A-Za-z]{2}")
# Values and names that are the same in every language.
SAME = re.compile(r"Rockstar|rockstar|Ctrl K")

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<pattern>(?<=[=(,:!&|?\s])/(?![/*\s])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)
      | (?P<tick>`) | (?P<open>\{) | (?P<close>\})""",
    re.VERBOSE | re.DOTALL,
)
CHUNK = re.compile(r"((?:[^`\\$]|\\.|\$(?!\{))*)(`|\$\{)", re.DOTALL)
TRANSLATED = re.compile(r"(?:\b_|ngettext|console\.\w+)\((?:\s*\"[^\"]*\",)?\s*$")
SENTENCE = re.compile(r"^(?=.*[A-Za-z]{2,}[,:;]? [a-z{¤])(?:[A-Z{].*|.*[.…?!])$", re.DOTALL)


def literals(source: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the source before each text of a module, the text with `¤` for each value, and whether the text is HTML."""
    at = 0
    # The open braces around the token: None for a brace of code, otherwise where its template begins and the text so far.
    outside: list[tuple[int, str] | None] = []
    while token := TOKEN.search(source, at):
        before, at = source[: token.start()], token.end()
        template = (token.start(), "") if token["tick"] else None
        if token["string"]:
            yield before, token["string"][1:-1], False
        elif token["open"]:
            outside.append(None)
        elif token["close"] and outside:
            template = outside.pop()
        if template is None:
            continue
        begin, text = template
        chunk = CHUNK.match(source, at)
        assert chunk, before[-60:]
        at = chunk.end()
        if chunk[2] == "${":
            outside.append((begin, f"{text}{chunk[1]}¤"))
        else:
            yield source[:begin], text + chunk[1], source[:begin].endswith("html")


def untranslated_in_html(html: str) -> Iterator[str]:
    """Yield the words between tags, and those in attributes that are shown or read out."""
    yield from (text for text in SHOWN_ATTRIBUTE.findall(html) if WORD.search(SAME.sub("", text)))
    between = (text.strip() for text in re.split(r"<[^<>]*>|¤", html))
    yield from (text for text in between if WORD.search(SAME.sub("", text)))


def untranslated_in_module(source: str) -> list[str]:
    """The texts of a JavaScript module that are shown as they are written."""
    found: list[str] = []
    for before, text, is_html in literals(source):
        if is_html:
            found += untranslated_in_html(text)
        elif SENTENCE.match(text) and "<" not in text and not TRANSLATED.search(before):
            found.append(text)
    return found


def untranslated_in_template(source: str) -> list[str]:
    """The texts of a template that are shown as they are written."""
    for gone in (
        r"\{#.*?#\}",
        r"\{% blocktranslate.*?endblocktranslate %\}",
        r"<(script|style|code)\b.*?</\1>",
        r"\{% block (?:body_class|bodyclass|coltype) %\}.*?\{% endblock %\}",
        r"\{[%{].*?[%}]\}",
    ):
        source = re.sub(gone, "", source, flags=re.DOTALL)
    return [text for text in untranslated_in_html(source) if text not in {"yes", "·"}]


def untranslated_in_python(source: str) -> list[str]:
    """The texts of errors for people that are shown as they are written."""
    return [
        text
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for argument in shown_by(call)
        for text in written(argument)
    ]


def shown_by(call: ast.Call) -> list[ast.expr]:
    """What people read of the arguments of a call: those of errors, refusals and messages, and words of the admin."""
    name = called(call)
    is_told = name in REFUSALS or (name.endswith("Error") and name not in NOT_SHOWN)
    is_of_admin = getattr(getattr(call.func, "value", None), "id", "") in {"models", "admin"}
    words = [each.value for each in call.keywords if each.arg in {"help_text", "description"}]
    return (words if is_of_admin else []) + (call.args if is_told else [])


def called(call: ast.Call) -> str:
    """Return the name of the called function, without its module or object."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def written(node: ast.AST) -> Iterator[str]:
    """Yield the sentences in an expression, without those that are translated."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "¤" for part in parts)
    if SENTENCE.match(text):
        yield text
    elif not (isinstance(node, ast.Call) and called(node) in {"_", "gettext_lazy"}):
        for child in ast.iter_child_nodes(node):
            yield from written(child)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_shows_translated_texts(path: Path) -> None:
    assert untranslated_in_module(path.read_text()) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_shows_translated_texts(path: Path) -> None:
    assert untranslated_in_template(path.read_text()) == []


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_errors_are_translated(path: Path) -> None:
    assert untranslated_in_python(path.read_text()) == []


def test_what_is_not_translated_is_found() -> None:
    module = """
    const a = "It failed."; // "In a comment."
    const b = _("It is fine."), c = ngettext("{count} room is", "{count} rooms are", 2), d = /"No text/;
    const e = html`<p title="Gone by" class="x">Hello ${_("you")} <b>${name}</b> again</p>${x && html`<i>deep</i>`}`;
    const f = `Only ${count} are left.`;
    """
    assert untranslated_in_module(module) == [
        "It failed.",
        "deep",
        "Gone by",
        "Hello",
        "again",
        "Only ¤ are left.",
    ]
    template = (
        "{% load i18n %}<h1>{% translate 'Good' %}</h1><p title='x'>Bad {{ name }}</p><code>HTTPS=1</code>"
    )
    assert untranslated_in_template(template) == ["Bad"]
    assert untranslated_in_python('raise RequestError(code, "It is bad.", x=_("It is good."))') == [
        "It is bad."
    ]
    refusals = 'Refusal(429, "code", f"Wait {s} seconds."); TypeError("It is a mistake."); f(g(Error("It is, too.")))'
    assert untranslated_in_python(refusals) == ["Wait ¤ seconds.", "It is, too."]
    fields = 'models.F(help_text="What it is."), models.F(help_text=gettext_lazy("It is good.")), F(help_text="An API is.")'
    assert untranslated_in_python(fields) == ["What it is."]
