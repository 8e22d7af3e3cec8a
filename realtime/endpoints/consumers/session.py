"""Identity and stored values from the Django session of the page that opened the socket."""

import re
from importlib import import_module
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction

from realtime.endpoints import wire
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.verbs import Call, NoPayload, Verb
from realtime.node.ports import LoadedSession
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, RequestError

KEY = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_-]{0,63}", re.ASCII)
VALUE_MAX_BYTES = 4096
KEYS_MAX = 64


class Key(msgspec.Struct, frozen=True):
    """Payload of `get`."""

    key: str


class KeyValue(msgspec.Struct, frozen=True):
    """Payload of `set`."""

    key: str
    value: Any


async def on_whoami(call: Call["SessionConsumer"], payload: NoPayload) -> Reply:
    """Return the session's user, expiry and stored values."""
    values = await call.in_db(_values, call.consumer.session_key)
    identity = call.identity
    return Reply(
        "session",
        {
            "user": identity and {"id": identity.user_id, "username": identity.username},
            "expires_at": identity and identity.expires_at and identity.expires_at.isoformat(),
            "values": values,
        },
    )


async def on_set(call: Call["SessionConsumer"], payload: KeyValue) -> Reply:
    """Store a value in the session."""
    key = _checked(payload.key)
    if len(msgspec.json.encode(payload.value)) > VALUE_MAX_BYTES:
        raise RequestError(
            ErrorCode.LIMIT_EXCEEDED,
            f"A value may have at most {VALUE_MAX_BYTES} bytes of JSON.",
            details={"field": "payload.value"},
        )
    await call.in_db(_set, call.consumer.session_key, key, payload.value)
    return Reply("saved", {"key": key})


async def on_get(call: Call["SessionConsumer"], payload: Key) -> Reply:
    """Read a value; null if there is none."""
    key = _checked(payload.key)
    values = await call.in_db(_values, call.consumer.session_key)
    return Reply("value", {"key": key, "value": values.get(key)})


class SessionConsumer(JsonConsumer):
    """Read and write values of the session.

    Verbs run in the order of arrival: a `get` sees an earlier `set`.
    """

    session_key: str

    verbs = {
        **CORE_VERBS,
        "whoami": Verb(NoPayload, on_whoami, reply="session", returns=wire.Session),
        "set": Verb(KeyValue, on_set, reply="saved", returns=wire.Saved),
        "get": Verb(Key, on_get, reply="value", returns=wire.Value),
    }

    async def welcomed(self) -> None:
        """Keep the session's key for the verbs."""
        session: LoadedSession = self.scope["session"]
        self.session_key = session.session_key


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise RequestError(
            ErrorCode.INVALID_MESSAGE,
            "Expected a key of 1 to 64 letters, digits, - and _, not starting with _.",
            details={"field": "payload.key"},
        )
    return key


def _store(session_key: str) -> SessionStore:
    store: SessionStore = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return store


def _values(session_key: str) -> dict[str, Any]:
    return {key: value for key, value in _store(session_key).items() if not key.startswith("_")}


def _set(session_key: str, key: str, value: Any) -> None:
    with transaction.atomic():
        # The row is locked so that two sockets that set different keys do not overwrite each other.
        rows = (
            _store(session_key).get_model_class().objects.select_for_update().filter(session_key=session_key)
        )
        if not rows.exists():
            raise RequestError(ErrorCode.UNAUTHENTICATED, "The session has ended.")
        store = _store(session_key)
        if key not in store and sum(not each.startswith("_") for each in store.keys()) >= KEYS_MAX:  # noqa: SIM118 a store is not a mapping
            raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"A session holds at most {KEYS_MAX} values.")
        store[key] = value
        store.save(must_create=False)
