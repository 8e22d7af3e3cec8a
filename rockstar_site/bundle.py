"""Modules as one module: all that a page imports before it runs, in one file.

Sixty small files compress worse than one, and a slow network has a round trip for every six of them. The code that
runs is the same: each module becomes the body of a function, which is called once, in the order in which a browser
would run the modules, and returns what the module exports. Modules outside of the bundle that import one inside of it get
it from the bundle, so that no module runs twice.

The rules: named and default imports, exports that never change, no module that imports itself by way of others, no
`await` at the top level. Syntax that is not known, names that are not exported, and modules that would run twice raise
ValueError. The minifier, which parses the bundle, refuses an `await` (`static_files.py`).
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rockstar_site.module_syntax import Export, Import, Lazy, Statement, statements

_OWN_NAME = re.compile(r"\b_(?:m\d+|default)\b")


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

    def parsed(self, name: str) -> tuple[str, list[Statement]]:
        """Return the source of a module, and its imports and exports."""
        source = self.read(name)
        if taken := _OWN_NAME.search(source):
            raise ValueError(f"{name}: {taken[0]} is a name of the bundle")
        try:
            return source, statements(source)
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
    """`entry` and what it imports statically."""

    def __init__(self, modules: Modules, entry: str) -> None:
        self._modules = modules
        self._entry = entry
        self._variables = {name: f"_m{number}" for number, name in enumerate(modules.needed(entry))}
        self._exported: dict[str, set[str]] = {}
        self._functions = [self._function(name) for name in self._variables]

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def source(self) -> str:
        """Return the module that has the place of `entry`."""
        return "\n".join([*self._functions, f"export{{{','.join(self._variables.values())}}};\n"])

    def outside(self, name: str) -> str:
        """Return the source of a module that is not in the bundle, with what it imports from it."""
        source, found = self._modules.parsed(name)
        replaced = []
        for each in found:
            if each.specifier is None or self._modules.resolve(each.specifier, name) not in self:
                continue
            if not isinstance(each, Import):
                raise self._twice(each, name)
            variable = self._variables[self._modules.resolve(each.specifier, name)]
            replaced.append(
                (each, f'import{{{variable}}}from"{_relative(self._entry, name)}";{self._taken(each, name)}')
            )
        return _replaced(source, replaced)

    def _function(self, name: str) -> str:
        source, found = self._modules.parsed(name)
        taken, exported, replaced = "", dict[str, str](), list[tuple[Statement, str]]()
        for each in found:
            match each:
                case Import():
                    # Imports come before all code, wherever they stand.
                    taken += self._taken(each, name)
                    replaced.append((each, ";"))
                case Export():
                    exported |= self._returned(each, name)
                    replaced.append((each, each.replacement))
                case Lazy():
                    replaced.append((each, f'import("{self._from_entry(each, name)}")'))
        self._exported[name] = set(exported)
        names = ",".join(f"{outer}:{inner}" for outer, inner in exported.items())
        body = _replaced(source, replaced)
        return f"const {self._variables[name]}=(()=>{{{taken}{body}\nreturn{{{names}}}}})();"

    def _taken(self, statement: Import, module: str) -> str:
        """Return the statement that takes the imported names from the object of a module in the bundle."""
        variable = self._variable(statement, module)
        names = ",".join(f"{inner}:{local}" for local, inner in statement.names.items())
        return f"const{{{names}}}={variable};" if names else ""

    def _returned(self, statement: Export, module: str) -> dict[str, str]:
        if statement.specifier is None:
            return dict(statement.names)
        variable = self._variable(statement, module)
        return {outer: f"{variable}.{inner}" for outer, inner in statement.names.items()}

    def _variable(self, statement: Import | Export, module: str) -> str:
        """Return the variable of the module that is imported, which exports all the names."""
        name = self._modules.resolve(statement.specifier or "", module)
        if missing := set(statement.names.values()) - self._exported[name]:
            raise ValueError(f"{module} imports {', '.join(sorted(missing))}, which {name} does not export")
        return self._variables[name]

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


def _replaced(source: str, replaced: Sequence[tuple[Statement, str]]) -> str:
    """Return the source with texts in the places of statements, which are in their order."""
    parts: list[str] = []
    at = 0
    for statement, text in replaced:
        parts += source[at : statement.start], text
        at = statement.end
    return "".join([*parts, source[at:]])
