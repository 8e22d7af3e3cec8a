"""Adds the lines of this package to the text of a settings module. Text in, text out; nothing is read or written."""

import ast
from dataclasses import dataclass, field

APPLICATION = "realtime.asgi.application"
APP = "realtime"
RULES = """
# Topics are closed until a rule opens their prefix, as "orders" for "orders:7":
# from realtime import TopicRule, members, nobody
# REALTIME = {"TOPIC_RULES": {"orders": TopicRule(subscribe=members, publish=nobody)}}
REALTIME = {
    "TOPIC_RULES": {},
}
"""


@dataclass(slots=True)
class Edited:
    """The new text, and notes on decisions that only a person can make."""

    text: str
    notes: list[str] = field(default_factory=list)


def add_lines(text: str, *, replaces_application: bool) -> Edited:
    """Return `text` with the app first in INSTALLED_APPS, ASGI_APPLICATION and REALTIME. A second call changes nothing.

    With `replaces_application` an ASGI_APPLICATION without sockets is replaced; otherwise it stays and is
    noted. Raises SyntaxError for a text that is not Python.
    """
    edited = Edited(text)
    edited.text = _with_app(edited.text)
    _set_application(edited, replaces_application=replaces_application)
    if _assigned(edited.text, "REALTIME") is None:
        edited.text = _ended(edited.text) + RULES
    return edited


def _with_app(text: str) -> str:
    assigned = _assigned(text, "INSTALLED_APPS")
    apps = assigned.value if assigned is not None else None
    if _is_added_first(apps):
        return text
    if isinstance(apps, ast.List) and apps.elts:
        names = [each.value if isinstance(each, ast.Constant) else None for each in apps.elts]
        if names[0] == APP:
            return text
        if APP not in names:
            return _inserted(text, apps.elts[0])
    # It is elsewhere in the list, or the list is made in some other way, perhaps in another module.
    return (
        _ended(text) + f'\nINSTALLED_APPS = ["{APP}", *(app for app in INSTALLED_APPS if app != "{APP}")]\n'
    )


def _is_added_first(apps: ast.expr | None) -> bool:
    """Return whether the list is our own, or one like it: `["realtime", *INSTALLED_APPS]`."""
    first = apps.elts[0] if isinstance(apps, ast.List) and apps.elts else None
    return isinstance(first, ast.Constant) and first.value == APP


def _inserted(text: str, first: ast.expr) -> str:
    lines = text.splitlines(keepends=True)
    row, column = first.lineno - 1, first.col_offset
    # Columns of `ast` count bytes.
    line = lines[row].encode()
    before, after = line[:column].decode(), line[column:].decode()
    if before.strip():
        lines[row] = f'{before}"{APP}", {after}'
    else:
        lines[row] = f'{before}"{APP}",{_line_end(text)}{before}{after}'
    return "".join(lines)


def _set_application(edited: Edited, *, replaces_application: bool) -> None:
    assigned = _assigned(edited.text, "ASGI_APPLICATION")
    if assigned is None:
        edited.text = _ended(edited.text) + f'\nASGI_APPLICATION = "{APPLICATION}"\n'
        return
    value = assigned.value
    if isinstance(value, ast.Constant) and value.value == APPLICATION:
        return
    if isinstance(value, ast.Constant) and replaces_application and value.lineno == value.end_lineno:
        lines = edited.text.splitlines(keepends=True)
        line = lines[value.lineno - 1].encode()
        new = line[: value.col_offset] + f'"{APPLICATION}"'.encode() + line[value.end_col_offset :]
        lines[value.lineno - 1] = new.decode()
        edited.text = "".join(lines)
        return
    edited.notes.append(
        "ASGI_APPLICATION stays as it is, because it may have sockets of its own. Build on "
        f'"{APPLICATION}", or call build_application() of `realtime` in it.'
    )


def _assigned(text: str, name: str) -> ast.Assign | ast.AnnAssign | None:
    """Return the last assignment to `name` at the top level."""
    found = None
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        is_assignment = isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        if is_assignment and any(isinstance(each, ast.Name) and each.id == name for each in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            found = node
    return found


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
