"""Modules as one module: all that a page imports before it runs, in one file.

Sixty small files compress worse than one, and a slow network has a round trip for every six of them. The code that
runs is the same, in the order in which a browser would run the modules: variables of modules get names that differ,
and what is imported is the variable of another module. Modules outside of the bundle that import one inside of it get
it from the bundle, so that no module runs twice. They name it as the import map of the page does (`from"chat/main.js"`):
its file name has a hash of theirs, so that theirs can have none of it.

The rules: named and default imports, exports that never change, no module that imports itself by way of others, no
`eval`. Syntax that is not known, names that are not exported, and modules that would run twice raise ValueError. Functions
and classes do not keep their `name`.

tree-sitter reads the modules; joining them is ours. The bundlers that are wheels are Bun's, which is unofficial, and
Deno's, which loads esbuild from npm when it bundles: each is 40 to 50 MB that every site would carry for one file.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rockstar_site.module_syntax import Export, Import, Lazy, Statement, Syntax, replaced, statements
from rockstar_site.variables import Variables

_OWN_NAME = re.compile(r"\b(?:[\w$]*_m\d+|_default|_shared)\b")
_SHARED = "_shared"


@dataclass(frozen=True, slots=True)
class Modules:
    """Modules by name, as `chat/main.js`; `read` gives the source of one, `bare` the name of a bare specifier."""

    read: Callable[[str], str]
    bare: Mapping[str, str]

    def resolve(self, specifier: str, module: str) -> str:
        """Return the name of what `module` imports."""
        return self.bare.get(specifier) or posixpath.normpath(
            posixpath.join(posixpath.dirname(module), specifier)
        )

    def parsed(self, name: str) -> tuple[Syntax, list[Statement]]:
        """Return the syntax of a module, and its imports and exports."""
        source = self.read(name)
        if taken := _OWN_NAME.search(source):
            raise ValueError(f"{name}: {taken[0]} is a name of the bundle")
        try:
            syntax = Syntax(source)
            return syntax, statements(syntax)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def needed(self, entry: str) -> list[str]:
        """Return `entry` and all that it imports statically, each after what it imports."""
        found: list[str] = []

        def add(name: str, importers: tuple[str, ...]) -> None:
            if name in importers:
                raise ValueError(f"{name} imports itself, by {' and '.join(importers)}")
            if name in found:
                return
            for each in self.parsed(name)[1]:
                if not isinstance(each, Lazy) and each.specifier is not None:
                    add(self.resolve(each.specifier, name), (*importers, name))
            found.append(name)

        add(entry, ())
        return found


class Bundle:
    """`entry` and what it imports statically, and what the modules `others` import from it."""

    def __init__(self, modules: Modules, entry: str, others: Iterable[str] = ()) -> None:
        self._modules = modules
        self._entry = entry
        self._numbers = {name: number for number, name in enumerate(modules.needed(entry))}
        # The variables of the bundle by the names that the modules export.
        self._exported: dict[str, dict[str, str]] = {}
        self._bodies = [self._body(name) for name in self._numbers]
        # What the bundle exports, in its order.
        self._shared: list[str] = []
        self._outside = {name: self._adapted(name) for name in others if name not in self}

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def source(self) -> str:
        """Return the module that has the place of `entry`, with the code that something uses."""
        whole = "\n".join([*self._bodies, f"export const {_SHARED}=[{','.join(self._shared)}];\n"])
        return Variables(Syntax(whole)).without_unused()

    def outside(self, name: str) -> str:
        """Return the source of one of the other modules, with what it imports from the bundle."""
        return self._outside[name]

    def _adapted(self, name: str) -> str:
        syntax, found = self._modules.parsed(name)
        edits = []
        # Once: it declares a name.
        shared = f'import{{{_SHARED}}}from"{self._entry}";'
        for each in found:
            if each.specifier is None or self._modules.resolve(each.specifier, name) not in self:
                continue
            if not isinstance(each, Import):
                raise self._twice(each, name)
            taken = [
                f"{local}={_SHARED}[{self._index(each, inner, name)}]" for local, inner in each.names.items()
            ]
            edits.append((each.start, each.end, shared + (f"const {','.join(taken)};" if taken else "")))
            shared = ""
        return replaced(syntax.source, edits)

    def _index(self, statement: Import, inner: str, module: str) -> int:
        variable = self._variable(statement, inner, module)
        if variable not in self._shared:
            self._shared.append(variable)
        return self._shared.index(variable)

    def _body(self, name: str) -> str:
        """Return the code of a module. Its variables have names that no other module has."""
        syntax, found = self._modules.parsed(name)
        top = Variables(syntax).top
        names = {each: f"{each}_m{self._numbers[name]}" for each in [*top, "_default"]}
        exported, edits = dict[str, str](), list[tuple[int, int, str]]()
        for each in found:
            match each:
                case Import():
                    names |= {local: self._variable(each, inner, name) for local, inner in each.names.items()}
                    edits.append((each.start, each.end, ";"))
                case Export():
                    edits.append(
                        (each.start, each.end, each.replacement.replace("_default", names["_default"]))
                    )
                case Lazy():
                    edits.append((each.start, each.end, f'import("{self._from_entry(each, name)}")'))
        for each in found:
            if isinstance(each, Export):
                exported |= {
                    outer: self._inner(each, inner, names, name) for outer, inner in each.names.items()
                }
        self._exported[name] = exported
        gone = [(each.start, each.end) for each in found]
        for variable in top.values():
            edits += [
                (use.start, use.end, use.named(names[variable.name]))
                for use in variable.uses
                if not any(start <= use.start < end for start, end in gone)
            ]
        return replaced(syntax.source, edits)

    def _inner(self, statement: Export, inner: str, names: Mapping[str, str], module: str) -> str:
        if statement.specifier is not None:
            return self._variable(statement, inner, module)
        if inner not in names:
            raise ValueError(f"{module} exports {inner}, which it does not have")
        return names[inner]

    def _variable(self, statement: Import | Export, inner: str, module: str) -> str:
        """Return the variable that is exported under a name by the module that is imported."""
        name = self._modules.resolve(statement.specifier or "", module)
        if inner not in self._exported[name]:
            raise ValueError(f"{module} imports {inner}, which {name} does not export")
        return self._exported[name][inner]

    def _from_entry(self, statement: Lazy, module: str) -> str:
        name = self._modules.resolve(statement.specifier, module)
        if name in self:
            raise self._twice(statement, module)
        return _relative(name, self._entry)

    def _twice(self, statement: Statement, module: str) -> ValueError:
        return ValueError(f"{module}: {statement.specifier} is in the bundle, and would run twice")


def _relative(name: str, module: str) -> str:
    """Return the specifier with which `module` imports another one."""
    relative = posixpath.relpath(name, posixpath.dirname(module))
    return relative if relative.startswith(".") else f"./{relative}"
