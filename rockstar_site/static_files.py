"""Static files as they are collected: minified, compressed, under hashed names; the chat's first modules as one."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import minify_html
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage
from servestatic.compress import Compressor
from servestatic.storage import CompressedManifestStaticFilesStorage

from realtime.templatetags.importmap import BARE_NAMES
from rockstar_site.bundle import Bundle, Modules
from rockstar_site.module_syntax import Syntax, without_comments
from rockstar_site.variables import Variables

# Of 11, which makes files 9 % smaller, and took 14 s more of the first start.
BROTLI_QUALITY = 9
# The module that becomes one with all that it needs before it runs.
BUNDLE_ENTRY = "chat/main.js"

# Our own files. Those of others are minified already.
_FOLDERS = ("chat/", "realtime/")
# The minifier is one of pages: each file goes through it in its element.
_ELEMENTS = {".js": ("<script type=module>", "</script>"), ".css": ("<style>", "</style>")}
# Empty statements, which the minifier removes. It leaves a script that it cannot parse as it was, and one that would not
# become shorter.
_PROBE = "\n" + 1_000 * ";"
# The minifier leaves some comments, and in templates the lines and the indentation between elements, which htm ignores.
_INDENTATION = re.compile(r"\n\s+")
_BETWEEN = re.compile(r"(?<=>)\n(?=[<$])|(?<=\})\n(?=<)")

# What a module imports from a file near it, as the minifier writes it, and how it is written with a hashed name.
_IMPORT = (
    r"""(?P<matched>\b(?P<word>from|import\(?)\s*(?P<quote>["'`])(?P<url>\.[^"'`]+\.js)(?P=quote))""",
    '%(word)s"%(url)s"',
)
# The longest chain of modules that import each other.
_CHAIN_MAX = 20

_CSS_IMPORT = re.compile(r'^@import "([^"]+)";$', re.MULTILINE)

_Paths = Mapping[str, tuple[Storage, str]]


class QuickCompressor(Compressor):  # type: ignore[misc]  # has no types
    """Compresses as the base class does, with a quality of brotli that a start can wait for."""

    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        """Return `data` compressed."""
        compressed: bytes = brotli.compress(data, quality=BROTLI_QUALITY)
        return compressed


class LeanStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # has no types
    """The storage of `collectstatic`.

    Our modules import hashed names, so that the import map of a page needs no line for each. Django's own way
    (`support_js_module_import_aggregation`) reads every script, and knows no backticks.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        *((f"{folder}*.js", (_IMPORT,)) for folder in _FOLDERS),
    )
    max_post_process_passes = _CHAIN_MAX

    def create_compressor(self, **options: Any) -> Compressor:
        """Return the compressor of all files; called by the base class."""
        return QuickCompressor(**options)

    def post_process(self, paths: _Paths, *args: Any, **options: Any) -> Iterator[Any]:
        """Give our own files their hashes and their compressed copies as they are after bundling and minifying."""
        lean = InMemoryStorage()
        sources = bundled(paths)
        for name, source in sources.items():
            lean.save(name, ContentFile(minified(name, source).encode()))
        replaced = {name: (lean, name) for name in sources}
        yield from super().post_process({**paths, **replaced}, *args, **options)


def bundled(paths: _Paths) -> dict[str, str]:
    """Return our own sources by name: styles with what they import, and a bundle in the place of `BUNDLE_ENTRY`."""

    def read(name: str) -> str:
        storage, path = paths[name]
        with storage.open(path) as file:
            source: bytes = file.read()
            return source.decode()

    def whole(name: str) -> str:
        folder = posixpath.dirname(name)
        return _CSS_IMPORT.sub(lambda found: whole(posixpath.normpath(f"{folder}/{found[1]}")), read(name))

    own = [name for name in paths if name.startswith(_FOLDERS) and Path(name).suffix in _ELEMENTS]
    sources = {name: whole(name) for name in own}
    if BUNDLE_ENTRY not in sources:
        return sources
    # Modules that other pages have too stay as they are.
    folder = BUNDLE_ENTRY.partition("/")[0] + "/"
    others = [name for name in own if name.endswith(".js") and name.startswith(folder)]
    bundle = Bundle(Modules(read, BARE_NAMES), BUNDLE_ENTRY, others)
    outside = {name: bundle.outside(name) for name in others if name not in bundle}
    return sources | outside | {BUNDLE_ENTRY: bundle.source()}


def minified(name: str, source: str) -> str:
    """Return the source of a module, script or style without what only people need. Modules keep their names.

    Raises ValueError for a script with a syntax error.
    """
    kind = Path(name).suffix
    begin, end = _ELEMENTS[kind]
    if kind == ".js":
        try:
            source = Variables(Syntax(without_comments(Syntax(source)))).shortened() + _PROBE
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    small = minify_html.minify(f"{begin}{source}{end}", minify_js=True, minify_css=True)
    small = small.removeprefix(begin).removesuffix(end)
    if kind == ".js" and small.endswith(_PROBE):
        raise ValueError(f"{name}: There is a syntax error.")
    return _BETWEEN.sub("", _INDENTATION.sub("\n", small))
