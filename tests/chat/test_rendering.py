"""Texts become HTML in which nothing runs and every link leads where it says."""

import random
import re
import time
from html.parser import HTMLParser

import pytest

from chat.rendering import markdown
from chat.rendering.emoji import emoji_known
from chat.rendering.links import overrides_direction, poses_as_url
from chat.rendering.markdown import HTML_MAX_CHARS, names_mentioned, render
from tests.slowness import slowness

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:msgbox(1))",
    '[x](https://a.example "onmouseover=alert(1)")',
    '[x](https://a.example/"onmouseover="alert(1))',
    "![x](https://a.example/x.png)",
    "![x](javascript:alert(1))",
    "<https://a.example/><script>",
    "<javascript:alert(1)>",
    '```"><script>alert(1)</script>\nx\n```',
    "```js onload=alert(1)\nx\n```",
    "`<script>`",
    "@<script>",
    "https://a.example/<script>alert(1)</script>",
    "https://a.example/'onclick='alert(1)",
    "<style>*{display:none}</style>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--><script>alert(1)</script-->",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "[a]: javascript:alert(1)\n\n[a]",
    "~~<b onclick=alert(1)>~~",
]
ALLOWED = {"p", "br", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr", "span"}


class Tags(HTMLParser):
    """Collects tags with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    return tags


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs(text: str) -> None:
    for tag, attributes in parsed(render(text, {"script": 1})).tags:
        assert tag in ALLOWED
        assert attributes.keys() <= {"href", "class", "start", "rel", "target", "data-user-id"}
        assert re.match(r"https?://", attributes.get("href") or "https://")


@pytest.mark.parametrize("text", ["<b>bold</b>", "a < b & c > d", "&lt;b&gt;", 'say "hi"', "it's"])
def test_html_in_a_text_is_text(text: str) -> None:
    assert parsed(render(text)).text == f"{text}\n"


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://a.example/b?c=d#e", "https://a.example/x_(y)", "https://ä.example/ö"]
)
def test_urls_become_links(url: str) -> None:
    for text in (url, f"see {url}.", f"({url})", f"[here]({url})"):
        (link,) = [attributes for tag, attributes in parsed(render(text)).tags if tag == "a"]
        assert link["rel"] == "noopener nofollow ugc"


@pytest.mark.parametrize(
    "text",
    [
        "https://bank.example@evil.example",
        "https://bank.example%40evil@evil.example/",
        "[bank](https://bank.example@evil.example)",
        "[bank](https:\\\\bank.example@evil.example)",
        "https://bank.example/\u202egpj.exe",
        "\u202e https://bank.example",
        "[x](https://bank.example/%E2%80%AEgpj)",
        "https://ba\u200bnk.example",
        "https://ba\u00adnk.example",
        "[https://bank.example](https://evil.example)",
        "[bank.example](https://evil.example)",
        "[www.bank.example/x](https://evil.example)",
        "[*//bank.example*](https://evil.example)",
        "www.bank.example",
        "mailto:alice@a.example",
        "ftp://a.example",
        "//a.example",
    ],
)
def test_no_link_hides_where_it_leads(text: str) -> None:
    hrefs = [attributes["href"] for tag, attributes in parsed(render(text)).tags if tag == "a"]
    # The true URL may be shown beside the label.
    assert hrefs in ([], ["https://evil.example"])
    assert "bank.example</a>" not in render(text)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain text, with (all) its signs!", "<p>plain text, with (all) its signs!</p>\n"),
        ("a\nb", "<p>a<br>\nb</p>\n"),
        ("**a** *b* ~~c~~ `d`", "<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>\n"),
        ("# no heading", "<p># no heading</p>\n"),
        ("a\n===", "<p>a<br>\n===</p>\n"),
        ("```py\nx < 1\n```", '<pre><code class="language-py">x &lt; 1\n</code></pre>\n'),
        (":tada: `:tada:` :nope:", "<p>🎉 <code>:tada:</code> :nope:</p>\n"),
        (
            "@bob. @room",
            '<p><span class="mention" data-user-id="7">@bob</span>. <span class="mention">@room</span></p>\n',
        ),
        ("a@bob.example", "<p>a@bob.example</p>\n"),
    ],
)
def test_what_a_text_looks_like(text: str, html: str) -> None:
    assert render(text, {"bob": 7}) == html


@pytest.mark.parametrize(
    "text",
    [
        "\u898b\u3066https://a.example/x\u3002\u6b21",
        "\uff08https://a.example/x\uff09",
        "\u300chttps://a.example/x\u300d\u3068",
        "https://a.example/x\uff01",
        "[https://a.example/x]",
    ],
)
def test_brackets_and_full_width_punctuation_end_a_url(text: str) -> None:
    before, _, after = text.partition("https://a.example/x")
    assert re.sub(r" (target|rel)=\S+( nofollow ugc\")?", "", render(text)) == (
        f'<p>{before}<a href="https://a.example/x">https://a.example/x</a>{after}</p>\n'
    )


def test_names_are_found_outside_of_code_and_addresses() -> None:
    text = "@Bob, (@carol) `@dave` x@erin.example\n```\n@frank\n```\n@here"
    assert names_mentioned(text) == {"bob", "carol", "here"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 4000,
        "**" * 2000,
        ">" * 4000,
        "[](" * 1300,
        "`" * 3999,
        "https://a.b/" * 330,
        "@a" * 2000,
        "*a_" * 1300,
        "<" * 4000,
        "- " * 2000,
        "&" * 4000,
    ],
)
def test_the_longest_text_is_rendered_within_bounds(text: str) -> None:
    assert len(render(text)) <= HTML_MAX_CHARS
    names_mentioned(text)


def test_known_emoji_have_one_form() -> None:
    assert emoji_known("❤") == emoji_known("❤️") == "❤️"
    assert emoji_known("👩‍🚀") == "👩‍🚀"
    assert [emoji_known(text) for text in ("", "a", "1", ":tada:", "👍👍", "\ufe0f")] == [None] * 6


def test_plain_text_is_rendered_as_the_parser_would() -> None:
    """The short way for plain text gives what parser and cleaner give."""
    chance = random.Random(7)
    parts = [
        "http:",
        "https://",
        ":tada:",
        "1.",
        "- ",
        "--",
        "===",
        *"ab1 2.)-+=#|:/!?'$%^(){},;  é中😀\u200f\u2028\x0b",
    ]
    texts = ["".join(chance.choices(parts, k=chance.randint(1, 12))).strip() for _ in range(2000)]
    plain = [text for text in texts if text and markdown._PLAIN.fullmatch(text)]
    assert len(plain) > 500
    for text in plain:
        parser = markdown._parser(has_links=not overrides_direction(text))
        assert render(text) == markdown._cleaned(parser.render(text, {"mentions": {}})), text


def test_a_long_label_of_a_link_is_looked_at_once() -> None:
    began_s = time.process_time()
    assert not poses_as_url("a" * 50_000, "http://example.com/")
    assert poses_as_url(f"{'a' * 50_000}://example.org", "http://example.com/")
    # Not from each of its letters on, which takes 10 s.
    assert time.process_time() - began_s < 0.5 * slowness()
