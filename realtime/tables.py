"""The models of this package, imported at first use.

They need the app registry, and other apps import the public face in their settings, before the registry
exists. So the modules behind the face write `tables.Ban` instead of importing `Ban`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.models import (
        KEY_PREFIX_CHARS,
        REASON_MAX_CHARS,
        SLUG_MAX_CHARS,
        USER_MAX_CHARS,
        ApiKey,
        AuditEntry,
        Ban,
        FiguresSample,
        IdempotentAnswer,
        SamplesLease,
        StoredPublication,
        TenantQuota,
    )

__all__ = [
    "KEY_PREFIX_CHARS",
    "REASON_MAX_CHARS",
    "SLUG_MAX_CHARS",
    "USER_MAX_CHARS",
    "ApiKey",
    "AuditEntry",
    "Ban",
    "FiguresSample",
    "IdempotentAnswer",
    "SamplesLease",
    "StoredPublication",
    "TenantQuota",
]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("realtime.models"), name)
