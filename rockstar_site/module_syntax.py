"""The imports and exports of a JavaScript module, as `bundle.py` knows them. Anything else raises ValueError."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_javascript.language()))


@dataclass(frozen=True, slots=True)
class Import:
    """`import` and what it takes: the names in the imported module by those in this one."""

    start: int
    end: int
    specifier: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Export:
    """`export`: the names in this module, or in the one of `specifier`, by those for others."""

    start: int
    end: int
    names: Mapping[str, str]
    # Stands in the place of the text.
    replacement: str = ";"
    specifier: str | None = None


@dataclass(frozen=True, slots=True)
class Lazy:
    """The call of `import()` with a string."""

    start: int
    end: int
    specifier: str


Statement = Import | Export | Lazy


class Syntax:
    """The syntax tree of a script, and places in it as positions in the text. Raises ValueError for a syntax error."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root = _PARSER.parse(source.encode()).root_node
        if self.root.has_error:
            raise ValueError("There is a syntax error.")
        # Nodes count bytes.
        self._at = [index for index, each in enumerate(source) for _ in each.encode()] + [len(source)]

    def span(self, node: Node) -> tuple[int, int]:
        """Return the first position of a node, and the one after its last."""
        return self._at[node.start_byte], self._at[node.end_byte]

    def nodes(self, *types: str) -> Iterator[Node]:
        """Yield the nodes of these types in their order."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            if node.type in types:
                yield node
            waiting += reversed(node.children)

    def unknown(self, node: Node) -> ValueError:
        """Return the error about a statement that is refused."""
        start, _ = self.span(node)
        return ValueError(
            f"Line {node.start_point[0] + 1} is not understood: {self.source[start : start + 80]!r}"
        )


def text_of(node: Node | None) -> str:
    """Return the text of a node, "" without one."""
    return node.text.decode() if node is not None and node.text is not None else ""


def statements(syntax: Syntax) -> list[Statement]:
    """Return the imports and exports of a module in their order. Raises ValueError for what it does not know."""
    readers: dict[str, Callable[[Syntax, Node], Statement | None]] = {
        "import_statement": _import,
        "export_statement": _export,
        "call_expression": _call,
        "meta_property": _refused,
    }
    found = [readers[node.type](syntax, node) for node in syntax.nodes(*readers)]
    return [each for each in found if each is not None]


def without_comments(syntax: Syntax) -> str:
    """Return a script without its comments."""
    # A line that ends may end a statement.
    edits = [(*syntax.span(node), "\n" if "\n" in text_of(node) else " ") for node in syntax.nodes("comment")]
    return replaced(syntax.source, edits)


def replaced(source: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Return the source with texts in the places of others, which do not overlap."""
    parts: list[str] = []
    at = 0
    for start, end, text in sorted(edits):
        parts += source[at:start], text
        at = end
    return "".join([*parts, source[at:]])


def _import(syntax: Syntax, node: Node) -> Import:
    names: dict[str, str] = {}
    for clause in node.named_children:
        match clause.type:
            case "import_clause" if len(clause.named_children) == 1:
                names = _imported(syntax, clause.named_children[0])
            case "string" | "comment":
                pass
            case _:
                raise syntax.unknown(node)
    return Import(*syntax.span(node), _specifier(syntax, node), names)


def _imported(syntax: Syntax, what: Node) -> dict[str, str]:
    match what.type:
        case "identifier":
            return {text_of(what): "default"}
        case "named_imports":
            # `inner as local`: the first is the name in the other module.
            return {local: inner for inner, local in _pairs(syntax, what)}
    raise syntax.unknown(what)


def _export(syntax: Syntax, node: Node) -> Export:
    start, end = syntax.span(node)
    declaration, value = node.child_by_field_name("declaration"), node.child_by_field_name("value")
    clause = next((each for each in node.named_children if each.type == "export_clause"), None)
    if clause is not None:
        names = {outer: inner for inner, outer in _pairs(syntax, clause)}
        if node.child_by_field_name("source") is not None:
            return Export(start, end, names, specifier=_specifier(syntax, node))
        if _changing(syntax) & set(names.values()):
            raise syntax.unknown(node)
        return Export(start, end, names)
    is_default = any(each.type == "default" for each in node.children)
    if declaration is not None and not is_default:
        names = {name: name for name in _declared(syntax, node, declaration)}
        return Export(start, syntax.span(declaration)[0], names, "")
    parameters = value.child_by_field_name("parameters") if value is not None else None
    if (
        value is None
        or parameters is None
        or value.type != "function_expression"
        or value.children[0].type == "async"
    ):
        raise syntax.unknown(node)
    # With a name it is a declaration, which other code may use before it.
    return Export(start, syntax.span(parameters)[0], {"default": "_default"}, "function _default")


def _declared(syntax: Syntax, node: Node, declaration: Node) -> list[str]:
    """Return the names that an export declares. Raises ValueError for a pattern, and for a variable that may change."""
    if (
        declaration.type == "lexical_declaration"
        and text_of(declaration.child_by_field_name("kind")) == "const"
    ):
        names = [each.child_by_field_name("name") for each in declaration.named_children]
    elif declaration.type in {"function_declaration", "generator_function_declaration", "class_declaration"}:
        names = [declaration.child_by_field_name("name")]
    else:
        raise syntax.unknown(node)
    if any(name is None or name.type != "identifier" for name in names):
        raise syntax.unknown(node)
    return [text_of(name) for name in names]


def _changing(syntax: Syntax) -> set[str]:
    """The variables of the top level that may change, which the modules that import them would see."""
    return {
        text_of(each.child_by_field_name("name"))
        for statement in syntax.root.named_children
        if statement.type == "lexical_declaration" and text_of(statement.child_by_field_name("kind")) == "let"
        for each in statement.named_children
    }


def _pairs(syntax: Syntax, names: Node) -> list[tuple[str, str]]:
    """Return the names before and after each `as` of a list."""
    pairs = []
    for each in names.named_children:
        if each.type == "comment":
            continue
        name = each.child_by_field_name("name")
        alias = each.child_by_field_name("alias") or name
        if name is None or alias is None or {name.type, alias.type} != {"identifier"}:
            raise syntax.unknown(names)
        pairs.append((text_of(name), text_of(alias)))
    return pairs


def _call(syntax: Syntax, node: Node) -> Lazy | None:
    function, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if function is None or given is None or function.type != "import":
        return None
    values = [each for each in given.named_children if each.type != "comment"]
    if len(values) != 1:
        raise syntax.unknown(node)
    return Lazy(*syntax.span(node), _text(syntax, values[0]))


def _refused(syntax: Syntax, node: Node) -> None:
    # `new.target` is none of ours.
    if text_of(node).startswith("import"):
        raise syntax.unknown(node)


def _specifier(syntax: Syntax, statement: Node) -> str:
    source = statement.child_by_field_name("source")
    if source is None:
        raise syntax.unknown(statement)
    return _text(syntax, source)


def _text(syntax: Syntax, string: Node) -> str:
    if string.type != "string" or any(each.type == "escape_sequence" for each in string.children):
        raise syntax.unknown(string)
    return text_of(string)[1:-1]
