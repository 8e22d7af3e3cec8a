"""Renders a message: CommonMark without HTML, images, headings and references; then cleaned by nh3.

HTML in a text is text. The result is the same for every reader.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from chat.rendering.emoji import with_emoji
from chat.rendering.links import is_honest_url, overrides_direction, poses_as_url

# Stored with the HTML. A higher number renders older messages again when they are read.
RENDERER_VERSION = 2
# Characters of HTML that a message may become; beyond it the text is shown as it is written.
HTML_MAX_CHARS = 40_000
# Levels of quotes and lists.
NESTING_MAX = 20

# Names for everyone in a room, and for those who are connected to it.
ROOM, HERE = "room", "here"
ROOM_NAMES = frozenset({ROOM, HERE})
_MENTION = re.compile(r"(?<![\w@./])@(\w[\w.+@-]{0,149})")
# Text without a meaning in Markdown, in HTML or for us: it begins no list or rule, has none of the special
# characters, and its colons begin neither a URL nor the name of an emoji.
_PLAIN = re.compile(
    r"""(?!\s|[-+]|\d{1,9}[.)])[^\\`*_~\[\]<>&"@:\n\r]*(?::(?!//|[\w+-]+:)[^\\`*_~\[\]<>&"@:\n\r]*)*"""
)
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,32}")
_TAGS = {"p", "br", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr", "span"}
# Full-width punctuation is followed by no space, so it ends a URL wherever it stands.
_FULL_WIDTH = re.compile(
    "[\u3001\u3002\u3008-\u3011\u3014-\u301b\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff3b\uff3d\uff5b\uff5d-\uff64]"
)
_ATTRIBUTES: dict[str, set[str]] = {
    "*": set(),
    "a": {"href"},
    "code": {"class"},
    "ol": {"start"},
    "span": {"class", "data-user-id"},
}
_OFF = ("heading", "lheading", "html_block", "html_inline", "reference", "image", "entity", "autolink")


def render(text: str, mentions: Mapping[str, int] | None = None, groups: Iterable[str] = ROOM_NAMES) -> str:
    """Return the HTML of a text.

    `mentions` are user ids by name in lower case, `groups` are those of `room` and `here` that mention somebody. Other
    names stay text.
    """
    if _PLAIN.fullmatch(text):
        return f"<p>{text}</p>\n"
    parser = _parser(has_links=not overrides_direction(text))
    known = dict.fromkeys(groups) | dict(mentions or {})
    html = _cleaned(parser.render(text, {"mentions": known}))
    return html if len(html) <= HTML_MAX_CHARS else f"<p>{escape(text)}</p>\n"


def names_mentioned(text: str) -> set[str]:
    """Return the names that a text may mention, in lower case, `room` and `here` among them."""
    if "@" not in text:
        return set()
    found = dict.fromkeys(_name(match[1]) for match in _MENTION.finditer(text))
    # Names in code are not mentions.
    blocks = _inlines(_parser(has_links=False).parse(text, {"mentions": found})) if found else []
    tokens = [each for block in blocks for each in block.children or []]
    return {each.meta["name"] for each in tokens if each.type == "mention"}


@cache
def _parser(*, has_links: bool) -> MarkdownIt:
    parser = MarkdownIt(
        "commonmark", {"html": False, "linkify": has_links, "breaks": True, "maxNesting": NESTING_MAX}
    )
    parser.enable("strikethrough").disable([*_OFF, *(() if has_links else ("link",))])
    if has_links:
        parser.enable("linkify")
        linkify = parser.linkify
        assert linkify is not None
        linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
        for schema in ("ftp:", "//", "mailto:"):
            linkify.add(schema, None)
    normalize = parser.normalizeLink
    # Checked before the host becomes ASCII, which has no invisible characters.
    parser.normalizeLink = lambda url: normalize(url) if is_honest_url(url) else ""  # type: ignore[method-assign]
    parser.validateLink = is_honest_url  # type: ignore[method-assign]  # the parser's way to set the rule
    parser.core.ruler.push("full_width", _end_before_full_width)
    parser.core.ruler.push("honest_links", _unlink_posing)
    parser.core.ruler.push("mentions", _mark_mentions)
    parser.add_render_rule("mention", _render_mention)
    return parser


def _end_before_full_width(state: StateCore) -> None:
    """End bare URLs before full-width punctuation; what follows is text."""
    for block in _inlines(state.tokens):
        children = block.children or []
        for index in reversed(range(len(children))):
            token = children[index]
            if token.type != "link_open" or token.markup != "linkify":
                continue
            label = children[index + 1]
            end = _FULL_WIDTH.search(label.content)
            if end is not None:
                label.content, rest = label.content[: end.start()], label.content[end.start() :]
                token.attrSet("href", state.md.normalizeLink(label.content))
                children.insert(index + 3, Token("text", "", 0, content=rest))


def _unlink_posing(state: StateCore) -> None:
    """Show a link whose label looks like another URL as text and URL."""
    for block in _inlines(state.tokens):
        children = block.children or []
        for index, token in enumerate(children):
            if token.type != "link_open" or token.markup == "linkify":
                continue
            closing = next(at for at in range(index, len(children)) if children[at].type == "link_close")
            url = str(token.attrGet("href"))
            if poses_as_url("".join(each.content for each in children[index:closing]), url):
                children[index] = Token("text", "", 0)
                children[closing] = Token("text", "", 0, content=f" ({url})")


def _mark_mentions(state: StateCore) -> None:
    known = state.env.get("mentions", {})
    for block in _inlines(state.tokens):
        marked: list[Token] = []
        depth = 0
        for token in block.children or []:
            depth += token.nesting if token.type.startswith("link") else 0
            if token.type == "text" and not depth:
                marked += _split(token.content, known)
            else:
                marked.append(token)
        block.children = marked


def _split(text: str, known: Mapping[str, int | None]) -> list[Token]:
    tokens: list[Token] = []
    end = 0
    for match in _MENTION.finditer(text):
        name = _name(match[1])
        if name not in known:
            continue
        tokens.append(Token("text", "", 0, content=with_emoji(text[end : match.start()])))
        end = match.start(1) + len(name)
        meta = {"name": name, "user_id": known[name]}
        tokens.append(Token("mention", "", 0, content=text[match.start() : end], meta=meta))
    return [*tokens, Token("text", "", 0, content=with_emoji(text[end:]))]


def _inlines(tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if token.type == "inline"]


def _name(name: str) -> str:
    """Return a name without the punctuation of the sentence after it, in lower case."""
    return name.rstrip(".-+@").lower()


def _render_mention(renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    token = tokens[index]
    user_id = token.meta["user_id"]
    of = "" if user_id is None else f' data-user-id="{user_id}"'
    return f'<span class="mention"{of}>{escape(token.content)}</span>'


def _cleaned(html: str) -> str:
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        url_schemes={"http", "https"},
        link_rel="noopener nofollow ugc",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _filter(tag: str, attribute: str, value: str) -> str | None:
    if tag == "code":
        return value if _LANGUAGE.fullmatch(value) else None
    if tag == "span" and attribute == "class":
        return value if value == "mention" else None
    return value
