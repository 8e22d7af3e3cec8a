"""Checks of the declarations of apps, at import. A mistake stops the start with a sentence that names the function.

Each check raises ImproperlyConfigured.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured

from realtime.core.contracts import Contract
from realtime.protocol.codec import TYPE_MAX_CHARS

# Types whose values may stand in a `payload`, beside Structs, dataclasses and TypedDicts.
PAYLOAD_TYPES = (Mapping, msgspec.Struct)
MISSING: Any = inspect.Parameter.empty


def mistake(function: object, text: str) -> ImproperlyConfigured:
    """Return the error to raise for a mistake in the declaration of `function`."""
    return ImproperlyConfigured(f"{place_of(function)}: {text}")


def place_of(function: object) -> str:
    """Return the module and the name of a function, for people."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module else name


def check_name(name: object, decorator: str) -> None:
    """Check that a declared name is a text that fits the `type` of a message."""
    if not isinstance(name, str):
        raise mistake(name, f'a name is missing; write @{decorator}("…").')
    if not 0 < len(name) <= TYPE_MAX_CHARS:
        raise ImproperlyConfigured(f"The name {name!r} needs 1 to {TYPE_MAX_CHARS} characters.")


def check_scopes(scopes: object, function: object) -> frozenset[str]:
    """Return the scopes. They must be a set, list or tuple of names: a text would mean its letters."""
    given = list(scopes) if isinstance(scopes, Iterable) and not isinstance(scopes, str) else None
    if given is None or not all(isinstance(scope, str) for scope in given):
        raise mistake(function, f"scopes must be a set of names, received {scopes!r}.")
    return frozenset(given)


def check_plain(function: object, why: str) -> None:
    """Check that it is a function that returns its result, neither a coroutine function nor a generator."""
    _check_callable(function)
    if iscoroutinefunction(function) or _is_generator(function):
        raise mistake(function, f"it must be a plain function with a result; {why}.")


def check_no_generator(function: object) -> None:
    """Check that it is a function, plain or `async`, that returns its result."""
    _check_callable(function)
    if _is_generator(function):
        raise mistake(function, "it must return its result; it has a `yield`.")


def check_coroutine(function: Callable[..., Any]) -> None:
    """Check that it is a coroutine function, or is annotated to return an awaitable."""
    _check_callable(function)
    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 the method
        return
    origin = get_origin(returned := returned_type(function)) or returned
    if not (isinstance(origin, type) and issubclass(origin, Awaitable)):
        raise mistake(function, "it must be a coroutine function; write `async def`.")


def check_arguments(function: Callable[..., Any], *names: str, optional: str | None = None) -> bool:
    """Check that the positional parameters are `names`, then perhaps `optional`, and that all others stand after a `*`.

    Return whether it takes `optional`.
    """
    parameters = _signature(function).parameters.values()
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    if any(each.kind in _COLLECTING for each in parameters):
        raise mistake(function, "it must name its parameters; *args and **kwargs get nothing.")
    if len(positional) < len(names):
        expected = " and ".join(f"`{name}`" for name in names)
        parameters_must = "parameter must" if len(names) == 1 else "parameters must"
        raise mistake(function, f"its first {parameters_must} be {expected}.")
    has_optional = optional is not None and len(positional) > len(names)
    surplus = positional[len(names) + has_optional :]
    if surplus:
        raise mistake(function, f"the parameter `{surplus[0].name}` must stand after a `*`.")
    return has_optional


def check_reply(function: Callable[..., Any], *replies: type, allowed: str) -> None:
    """Check that the annotated result may be a reply: None, one of `replies`, or unknown."""
    returned = returned_type(function)
    if not _may_be(returned, replies):
        name = getattr(returned, "__name__", str(returned))
        raise mistake(function, f"it returns {name}; {allowed}.")


def contract_of(function: Callable[..., Any], what: str, root: str) -> Contract | None:
    """Return the contract of a function's annotated result; None if the annotation says nothing of its parts.

    `what` and `root` are as in Contract. Raises ImproperlyConfigured for a type that JSON cannot hold.
    """
    return made_contract(awaited_type(returned_type(function)), f"{what} ({_name(function)})", root, function)


def made_contract(kind: Any, what: str, root: str, owner: object) -> Contract | None:
    """Return the contract of a type; None for one that says nothing."""
    if _says_nothing(kind):
        return None
    try:
        return Contract(kind, what, root)
    except TypeError as error:
        raise mistake(owner, f"its result has a type that JSON cannot hold: {error}.") from error


def returned_type(function: Callable[..., Any]) -> Any:
    """Return the annotated result; Any if there is none, or if it names a type that does not exist yet."""
    annotation = _signature(function).return_annotation
    try:
        return Any if annotation is MISSING else _evaluated(function, annotation)
    except NameError:
        return Any


def awaited_type(returned: Any) -> Any:
    """Return the result of an awaitable type; other types as they are."""
    origin = get_origin(returned)
    if isinstance(origin, type) and issubclass(origin, Awaitable) and get_args(returned):
        return get_args(returned)[-1]
    return returned


def _says_nothing(kind: Any) -> bool:
    """Whether a type is any JSON object or value: `Any`, `dict`, `dict[str, Any]`, and these with None."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return all(each is NoneType or _says_nothing(each) for each in get_args(kind))
    if kind in (Any, None, NoneType, object):
        return True
    is_object = origin or kind
    if not (isinstance(is_object, type) and issubclass(is_object, Mapping)) or is_typeddict(kind):
        return False
    return get_args(kind) in ((), (str, Any), (str, object))


def _name(function: object) -> str:
    return (
        f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', None) or repr(function)}"
    )


def keyword_parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and default of each keyword-only parameter; MISSING for a type or default that is not given."""
    for name, parameter in _signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            try:
                kind = _evaluated(function, parameter.annotation)
            except NameError as error:
                raise mistake(
                    function,
                    f"the type of the parameter `{name}` is not known when it runs; import {error.name} at the top "
                    "of the module.",
                ) from error
            yield name, kind, parameter.default


def _evaluated(function: Callable[..., Any], annotation: Any) -> Any:
    """Return an annotation as a type, also if it is a text; raises NameError for a name that does not exist yet."""
    if annotation is MISSING:
        return MISSING
    inner = inspect.unwrap(function)
    scope = getattr(inner, "__globals__", None) or getattr(type(inner).__call__, "__globals__", {})
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return get_type_hints(holder, globalns=scope, include_extras=True)["it"]


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _check_callable(function: object) -> None:
    if not callable(function) or isinstance(function, type):
        raise mistake(function, "expected a function.")


def _is_generator(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise mistake(function, "its parameters cannot be read.") from error


def _may_be(returned: Any, replies: tuple[type, ...]) -> bool:
    origin = get_origin(returned)
    if origin is Annotated:
        return _may_be(get_args(returned)[0], replies)
    if origin in (Union, UnionType):
        return any(_may_be(each, replies) for each in get_args(returned))
    kind = origin or returned
    if kind in (None, NoneType, Any) or not isinstance(kind, type):
        return True
    if issubclass(kind, Awaitable):
        inner = get_args(returned)
        return _may_be(inner[-1], replies) if inner else True
    is_object = Mapping in replies and (is_dataclass(kind) or is_typeddict(kind))
    return is_object or kind is object or issubclass(kind, replies)
