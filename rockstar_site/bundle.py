"""Modules as one module: all that a page imports before it runs, in one file.

Sixty small files compress worse than one, and a slow network has a round trip for every six of them. The code that
runs is the same: each module becomes the body of a function, which is called once, in the order in which a browser
would run the modules, and returns what the module exports. Modules outside of the bundle that import one inside of it get
it from the bundle, so that no module runs twice.

It understands what our modules and the vendored ones are made of: named and default imports, exports that never
change. Anything else raises ValueError.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Statements begin a line, or follow another in a file that is minified.
_BEGIN = r"""(?:^|(?<=[;}]))"""
_IMPORT = re.compile(
    _BEGIN + r"""import\b\s*(?:(\{[^}]*\}|[\w$]+)\s*from\s*)?["']([^"']+)["'];?""", re.MULTILINE
)
_LISTED = re.compile(_BEGIN + r"""export\s*\{([^}]*)\}(?:\s*from\s*["']([^"']+)["'])?;?""", re.MULTILINE)
_DECLARED = re.compile(
    _BEGIN + r"export (?=(?:async )?(?:const|class|function)\b\*? ?([\w$]+))", re.MULTILINE
)
_DEFAULT = re.compile(_BEGIN + r"export default ", re.MULTILINE)
_LEFT = re.compile(_BEGIN + r"\s*(?:import|export)\b(?!\()[^\n]{0,80}", re.MULTILINE)
_LAZY = re.compile(r"""\bimport\((["'])([^"']+)\1\)""")


@dataclass(frozen=True, slots=True)
class Modules:
    """Modules by name, as `chat/main.js`; `read` gives the source of one, `bare` the name of a bare specifier."""

    read: Callable[[str], str]
    bare: Mapping[str, str]

    def resolve(self, specifier: str, module: str) -> str:
        """Return the name of what `module` imports."""
        return self.bare.get(specifier) or posixpath.normpath(f"{posixpath.dirname(module)}/{specifier}")

    def needed(self, entry: str) -> list[str]:
        """Return `entry` and all that it imports statically, each after what it imports."""
        found: list[str] = []

        def add(name: str, importers: tuple[str, ...]) -> None:
            if name in importers:
                raise ValueError(f"{name} imports itself, by {' and '.join(importers)}")
            if name in found:
                return
            source = self.read(name)
            specifiers = [match[2] for match in _IMPORT.finditer(source)]
            for specifier in specifiers + [match[2] for match in _LISTED.finditer(source) if match[2]]:
                add(self.resolve(specifier, name), (*importers, name))
            found.append(name)

        add(entry, ())
        return found


class Bundle:
    """`entry` and what it imports statically."""

    def __init__(self, modules: Modules, entry: str) -> None:
        self._modules = modules
        self._entry = entry
        self._variables = {name: f"_m{number}" for number, name in enumerate(modules.needed(entry))}

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def source(self) -> str:
        """Return the module that has the place of `entry`."""
        functions = [self._function(name) for name in self._variables]
        return "\n".join([*functions, f"export{{{','.join(self._variables.values())}}};\n"])

    def outside(self, name: str) -> str:
        """Return the source of a module that is not in the bundle, with what it imports from it."""
        entry = posixpath.relpath(self._entry, posixpath.dirname(name))

        def imported(match: re.Match[str]) -> str:
            variable = self._variables.get(self._modules.resolve(match[2], name))
            if variable is None:
                return match[0]
            return f'import{{{variable}}}from"{entry}";{_taken(match[1], variable)}'

        return _IMPORT.sub(imported, self._modules.read(name))

    def _function(self, name: str) -> str:
        exported: dict[str, str] = {}

        def imported(match: re.Match[str]) -> str:
            return _taken(match[1], self._variable(match[2], name))

        def listed(match: re.Match[str]) -> str:
            origin = f"{self._variable(match[2], name)}." if match[2] else ""
            for each in filter(None, (part.strip() for part in match[1].split(","))):
                inner, _, outer = each.partition(" as ")
                exported[outer or inner] = origin + inner
            return ""

        def declared(match: re.Match[str]) -> str:
            exported[match[1]] = match[1]
            return ""

        body = _IMPORT.sub(imported, self._modules.read(name))
        body = _DECLARED.sub(declared, _LISTED.sub(listed, body))
        if _DEFAULT.search(body):
            body = _DEFAULT.sub("const _default=", body)
            exported["default"] = "_default"
        body = _LAZY.sub(lambda match: f'import("{self._from_entry(match[2], name)}")', body)
        if left := _LEFT.search(body):
            raise ValueError(f"{name}: this is not understood: {left[0]}")
        names = ",".join(f"{outer}:{inner}" for outer, inner in exported.items())
        return f"const {self._variables[name]}=(()=>{{{body}\nreturn{{{names}}}}})();"

    def _variable(self, specifier: str, module: str) -> str:
        return self._variables[self._modules.resolve(specifier, module)]

    def _from_entry(self, specifier: str, module: str) -> str:
        relative = posixpath.relpath(self._modules.resolve(specifier, module), posixpath.dirname(self._entry))
        return relative if relative.startswith(".") else f"./{relative}"


def _taken(names: str | None, variable: str) -> str:
    """Return the statement that takes what `import names from …` took from the object of a module."""
    if names is None:
        return ""
    if not names.startswith("{"):
        return f"const {names}={variable}.default;"
    return f"const {names.replace(' as ', ':')}={variable};"
