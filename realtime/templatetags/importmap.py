"""The import map of a page: where modules are found by a bare name, or under a file name with a hash.

Modules import their neighbours by plain names (`./store.js`). With a manifest storage the files have hashes in
their names, and the import map leads from one to the other, unless the storage has written the hashed names into the
modules. (Django's `support_js_module_import_aggregation` does so, but in Django 5.2 it takes types in comments for imports
(`import("realtime/client").State`) and fails on them.)
"""

import json
import posixpath
import re
from functools import lru_cache
from pathlib import Path

from django import template
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage, staticfiles_storage
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

BARE_NAMES = {
    "preact": "vendor/preact.js",
    "preact/hooks": "vendor/preact-hooks.js",
    "htm": "vendor/htm.js",
    "@preact/signals": "vendor/signals.js",
    "@preact/signals-core": "vendor/signals-core.js",
    "realtime/client": "realtime/client/index.js",
    "realtime/page-watch": "realtime/client/page-watch.js",
    "realtime/reachable": "realtime/client/reachable.js",
    "realtime/stream": "realtime/client/stream.js",
    "realtime/live-query": "realtime/client/live-query.js",
    "realtime/live-state": "realtime/client/live-state.js",
    "realtime/presence": "realtime/client/presence.js",
    "realtime/texts": "realtime/texts.js",
}
# The static imports of a module, which it needs before it runs. `import()` loads a module when it is used.
_STATIC_IMPORT = re.compile(
    rb"""(?:^|;)\s*(?:import|(?:import|export)\b[^"'(;=]*?\bfrom)\s*["']([^"']+)["']""", re.MULTILINE
)
_LAZY_IMPORT = re.compile(rb"""\bimport\(["'`]([^"'`]+)["'`]\)""")
# Other scripts, as those of the admin, need no line.
_MODULE = re.compile(rb"(?:^|[;}])\s*(?:import|export)\b", re.MULTILINE)


@register.simple_tag(takes_context=True)
def importmap(context: template.Context, entry: str = "") -> SafeString:
    """Return the script element. It must come before every module script of the page.

    With `entry`, the module of the page, the map has only what it and its imports need, at once or later. Among them
    `entry` is a bare name, by which other modules can import it.
    """
    request: HttpRequest = context["request"]
    text = json.dumps({"imports": _imports_map(staticfiles_storage, entry)}, separators=(",", ":"))
    # In a script element only `<` could end the text early.
    safe = mark_safe(text.replace("<", "\\u003c"))  # noqa: S308
    # Of django-csp, or of the context processor that Django has from 6.0 on.
    nonce = getattr(request, "csp_nonce", None)
    if nonce is None:
        # Not `or`: a lazy nonce is false until it is written.
        nonce = context.get("csp_nonce", "")
    return format_html('<script type="importmap" nonce="{}">{}</script>', nonce, safe)


@register.simple_tag
def modulepreload(name: str) -> SafeString:
    """Return link elements for all that a module imports, so that it loads at the same time as the module.

    It must come after the import map, and before the script element of the module.
    """
    urls = ((staticfiles_storage.url(each),) for each in _needed(staticfiles_storage, name)[1:])
    return format_html_join("\n", '<link rel="modulepreload" href="{}">', urls)


@lru_cache(maxsize=8)
def _needed(storage: StaticFilesStorage, entry: str, *, later: bool = False) -> tuple[str, ...]:
    """Return the names of a module and its imports, each once, the nearest first.

    With `later`, what `import()` loads is among them, if the manifest has it: types in comments look the same.
    """
    names, hashed = [entry], getattr(storage, "hashed_files", {})
    plain = {name: each for each, name in hashed.items()}
    for module in names:
        for specifier in _imports(storage, module, later=later):
            path = _path(specifier, module)
            name = plain.get(path, path)
            if name not in names and (name in hashed or not later):
                names.append(name)
    return tuple(names)


def _path(specifier: str, module: str) -> str:
    """Return the file that `module` imports, as it names it. A bare name without a line of its own is a file's."""
    if specifier.startswith("."):
        return posixpath.normpath(f"{posixpath.dirname(module)}/{specifier}")
    return BARE_NAMES.get(specifier, specifier)


def _imports(storage: StaticFilesStorage, name: str, *, later: bool) -> list[str]:
    content = _content(storage, name)
    found = _STATIC_IMPORT.findall(content) + (_LAZY_IMPORT.findall(content) if later else [])
    return [specifier.decode() for specifier in found]


def _content(storage: StaticFilesStorage, name: str) -> bytes:
    """Return the file that a browser gets: in development the source, otherwise the collected file."""
    if hashed := getattr(storage, "hashed_files", {}).get(name):
        with storage.open(hashed) as file:
            content: bytes = file.read()
            return content
    path = finders.find(name)
    if path is None:
        raise ValueError(f"There is no static file {name}")
    return Path(path).read_bytes()


@lru_cache(maxsize=4)
def _imports_map(storage: StaticFilesStorage, entry: str) -> dict[str, str]:
    """Return URLs by bare name, and, if there is a manifest, URLs of modules by their URLs without the hash.

    It is computed once, because the manifest of a process does not change.
    """
    hashed: dict[str, str] = getattr(storage, "hashed_files", {})
    if not entry or not hashed:
        modules = {
            name for name in hashed if name.endswith(".js") and _MODULE.search(_content(storage, name))
        }
        bare, plain = BARE_NAMES, modules | (set(BARE_NAMES.values()) & set(hashed))
    else:
        modules = set(_needed(storage, entry, later=True))
        specifiers = {
            (each, _path(each, module))
            for module in modules
            for each in _imports(storage, module, later=True)
        }
        bare = {each: path for each, path in specifiers if not each.startswith(".") and path in modules}
        plain = {path for each, path in specifiers if each.startswith(".") and path in hashed}
    lines = {name: storage.url(path) for name, path in sorted(bare.items())}
    return lines | {f"{storage.base_url}{name}": storage.url(name) for name in sorted(plain)}
