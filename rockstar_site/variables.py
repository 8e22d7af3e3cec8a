"""The variables of a JavaScript module: where each of them is used, and short names for them and for private members.

tree-sitter tells variables from properties, texts and labels, which keep their names. A variable that is not declared
in the module keeps its name too, and no other gets it.
"""

import itertools
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from rockstar_site.module_syntax import Syntax, replaced, text_of

_SHORTHAND = "shorthand_property_identifier"
_NAMES = {"identifier", _SHORTHAND, f"{_SHORTHAND}_pattern"}
_FUNCTIONS = {
    "arrow_function",
    "class_static_block",
    "function_declaration",
    "function_expression",
    "generator_function",
    "generator_function_declaration",
    "method_definition",
    "program",
}
_SCOPES = _FUNCTIONS | {
    "catch_clause",
    "class",
    "class_declaration",
    "for_in_statement",
    "for_statement",
    "statement_block",
    "switch_body",
}
# Their names belong to the scope around them.
_DECLARATIONS = {"class_declaration", "function_declaration", "generator_function_declaration"}
_NAMED = _DECLARATIONS | {"class", "function_expression", "generator_function"}
_PATTERNS = {"array_pattern", "object_pattern", "rest_pattern"}
# Values that are made without anything else happening.
_PURE = {"arrow_function", "false", "function_expression", "null", "number", "regex", "string", "true"}
# The parts of a pattern that have something else beside what they declare.
_PATTERN_FIELDS = {"pair_pattern": "value", "assignment_pattern": "left", "object_assignment_pattern": "left"}
_IMPORTS = {"import_clause", "namespace_import"}

_FIRST = string.ascii_letters + "_$"
_WORDS = {"do", "if", "in", "of", "as", "is", "for", "let", "new", "try", "var", "get", "set"}


@dataclass(frozen=True, slots=True)
class Use:
    """A place with the name of a variable, and what a new name needs around it there."""

    start: int
    end: int
    before: str = ""
    after: str = ""

    def named(self, name: str) -> str:
        """Return the text with the new name."""
        return f"{self.before}{name}{self.after}"


@dataclass(slots=True, eq=False)
class Variable:
    """A variable, and the places with its name in their order. `is_fixed`: other modules know its name.

    `span`: the text that declares it and does nothing else.
    """

    name: str
    is_fixed: bool = False
    span: tuple[int, int] | None = None
    uses: list[Use] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Scope:
    parent: "_Scope | None"
    is_function: bool
    variables: dict[str, Variable] = field(default_factory=dict)
    # The number of the first of its variables that get new names: those of scopes around it have lower ones.
    first: int = 0

    def find(self, name: str) -> Variable | None:
        scope: _Scope | None = self
        while scope is not None and name not in scope.variables:
            scope = scope.parent
        return None if scope is None else scope.variables[name]

    def function(self) -> "_Scope":
        scope = self
        while not scope.is_function and scope.parent is not None:
            scope = scope.parent
        return scope


class Variables:
    """The variables of a module. Raises ValueError for `eval`, which sees all names."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._scopes: list[_Scope] = []
        self._free: set[str] = set()
        # The private members of classes by their names, which are seen in the class only.
        self._private: dict[str, list[Use]] = {}
        found = list(self._walk(syntax.root))
        for node, scope in found:
            self._declare(node, scope)
        for node, scope in found:
            self._use(node, scope)
        if "eval" in self._free:
            raise ValueError("There is an eval.")

    @property
    def top(self) -> Mapping[str, Variable]:
        """The variables of the top level by name."""
        return self._scopes[0].variables

    def shortened(self) -> str:
        """Return the source with short names, the shortest for those that are used most."""
        numbers, counts = self._numbered(), Counter[int]()
        for variable, number in numbers.items():
            counts[number] += len(variable.uses)
        fixed = {each.name for scope in self._scopes for each in scope.variables.values() if each.is_fixed}
        names = _short_names(self._free | fixed)
        short = {number: next(names) for number, _ in counts.most_common()}
        renamed = [(variable.uses, short[number]) for variable, number in numbers.items()]
        private = sorted(self._private.values(), key=len, reverse=True)
        renamed += zip(private, _short_names(set()), strict=False)
        return replaced(
            self._syntax.source,
            [(use.start, use.end, use.named(name)) for uses, name in renamed for use in uses],
        )

    def without_unused(self) -> str:
        """Return the source without the functions, classes and constants of the top level that nothing uses."""
        spans = {
            variable: variable.span
            for variable in self.top.values()
            if variable.span and not variable.is_fixed
        }
        gone = dict[Variable, tuple[int, int]]()
        while found := {
            variable: span
            for variable, span in spans.items()
            if variable not in gone and not _outside(variable.uses, [span, *gone.values()])
        }:
            gone |= found
        return replaced(self._syntax.source, [(start, end, "") for start, end in gone.values()])

    def _numbered(self) -> dict[Variable, int]:
        """Return variables with numbers: no two that one place sees have the same."""
        numbers: dict[Variable, int] = {}
        sizes: dict[_Scope, int] = {}
        for scope in self._scopes:
            scope.first = scope.parent.first + sizes[scope.parent] if scope.parent else 0
            own = [each for each in scope.variables.values() if not each.is_fixed]
            sizes[scope] = len(own)
            numbers |= {each: scope.first + index for index, each in enumerate(own)}
        return numbers

    def _walk(self, root: Node) -> Iterator[tuple[Node, _Scope]]:
        """Yield the names in their order, each with its scope. Scopes are made before those inside of them."""
        waiting: list[tuple[Node, _Scope | None]] = [(root, None)]
        while waiting:
            node, around = waiting.pop()
            scope = around
            if node.type in _SCOPES:
                scope = _Scope(around, node.type in _FUNCTIONS)
                self._scopes.append(scope)
            if node.type in _NAMES and scope is not None:
                yield node, scope
            elif node.type == "private_property_identifier":
                use = Use(*self._syntax.span(node), before="#")
                self._private.setdefault(text_of(node), []).append(use)
            name = node.child_by_field_name("name") if node.type in _DECLARATIONS else None
            waiting += [
                (child, around if child == name else scope) for child in reversed(node.named_children)
            ]

    def _declare(self, node: Node, scope: _Scope) -> None:
        statement = _declaration(node)
        if statement is None:
            return
        kind = _field(statement, "kind")
        if statement.type == "variable_declaration" or (kind is not None and text_of(kind) == "var"):
            scope = scope.function()
        name = text_of(node)
        is_exported = statement.parent is not None and statement.parent.type == "export_statement"
        variable = scope.variables.setdefault(name, Variable(name))
        variable.is_fixed |= is_exported
        if scope.parent is None:
            variable.span = self._span(statement)

    def _span(self, statement: Node) -> tuple[int, int] | None:
        match statement.type:
            case "function_declaration" | "generator_function_declaration":
                is_pure = True
            case "class_declaration":
                body = _field(statement, "body")
                members = body.named_children if body is not None else []
                is_pure = not _extends_call(statement) and all(_is_method(each) for each in members)
            case "lexical_declaration":
                declared = statement.named_children
                is_pure = len(declared) == 1 and _is_plain(declared[0])
            case _:
                is_pure = False
        return self._syntax.span(statement) if is_pure else None

    def _use(self, node: Node, scope: _Scope) -> None:
        name, parent = text_of(node), node.parent
        start, end = self._syntax.span(node)
        use = Use(start, end)
        if node.type != "identifier":
            use = Use(start, end, before=f"{name}:")
        elif parent is not None and parent.type in {"import_specifier", "export_specifier"}:
            alias, inner = parent.child_by_field_name("alias"), parent.child_by_field_name("name")
            # The name that other modules know.
            if alias is not None and node == (inner if parent.type == "import_specifier" else alias):
                return
            if alias is None and parent.type == "import_specifier":
                use = Use(start, end, before=f"{name} as ")
            elif alias is None:
                use = Use(start, end, after=f" as {name}")
        variable = scope.find(name)
        if variable is None:
            self._free.add(name)
        else:
            variable.uses.append(use)


def _outside(uses: list[Use], spans: list[tuple[int, int]]) -> bool:
    return any(all(not start <= use.start < end for start, end in spans) for use in uses)


def _is_plain(declarator: Node) -> bool:
    """Whether it gives one name to a value. A pattern may declare other names too, and reads properties."""
    name, value = _field(declarator, "name"), _field(declarator, "value")
    return name is not None and name.type == "identifier" and value is not None and value.type in _PURE


def _extends_call(declaration: Node) -> bool:
    heritage = next((each for each in declaration.named_children if each.type == "class_heritage"), None)
    return heritage is not None and heritage.named_children[0].type != "identifier"


def _is_method(member: Node) -> bool:
    """Whether a member of a class does nothing when the class is made."""
    name = _field(member, "name") or _field(member, "property")
    is_static = any(each.type == "static" for each in member.children)
    is_computed = name is not None and name.type == "computed_property_name"
    return member.type in {"method_definition", "field_definition"} and not is_computed and not is_static


def _field(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


def _declaration(node: Node) -> Node | None:  # noqa: C901, PLR0911  a table of the syntax
    """Return what declares a name at this place: a statement, a function, parameters. None: the name is used."""
    child, parent = node, node.parent
    while parent is not None and (
        parent.type in _PATTERNS
        or (parent.type in _PATTERN_FIELDS and _field(parent, _PATTERN_FIELDS[parent.type]) == child)
    ):
        child, parent = parent, parent.parent
    match parent:
        case None:
            return None
        case Node(type="variable_declarator"):
            return parent.parent if _field(parent, "name") == child else None
        case Node(type="formal_parameters"):
            return parent
        case Node(type="arrow_function" | "catch_clause"):
            return parent if _field(parent, "parameter") == child else None
        case Node(type="for_in_statement"):
            return parent if _field(parent, "left") == child and _field(parent, "kind") else None
        case Node(type="import_specifier"):
            return parent if (_field(parent, "alias") or child) == child else None
    if parent.type in _IMPORTS or (parent.type in _NAMED and _field(parent, "name") == child):
        return parent
    return None


def _short_names(taken: set[str]) -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(_FIRST, *[_FIRST + string.digits] * (length - 1)):
            name = "".join(letters)
            if name not in taken and name not in _WORDS:
                yield name
