"""The session engine: Django's database sessions, each bound to the tenant on which it was created."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

from accounts.models import UserSession

TENANT_KEY = "_tenant"


def session_key_hash(session_key: str) -> str:
    """Return a name of the session that does not reveal its key: the key's SHA-256, in hex."""
    return sha256(session_key.encode()).hexdigest()


class SessionStore(DatabaseSessionStore):
    """A session of `tenant_id`. Another tenant's session reads as empty, without a key, and is not changed.

    Without a tenant (management commands, or code that has checked the tenant itself) any session is valid.
    """

    def __init__(self, session_key: str | None = None, *, tenant_id: int | None = None) -> None:
        super().__init__(session_key)
        self.tenant_id = tenant_id

    @classmethod
    def get_model_class(cls) -> type[UserSession]:
        """Return the model of the sessions."""
        return UserSession

    def _validate_session_key(self, key: str | None) -> bool:
        """Django's check. A quoted cookie may hold any character; a key of ours has letters and digits only."""
        is_long_enough: bool = super()._validate_session_key(key)  # type: ignore[misc]  # the stubs lack it
        return bool(is_long_enough) and str(key).isalnum() and str(key).isascii()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return the stored values if the session is this tenant's."""
        # Both load() and aload() call this.
        values: dict[str, Any] = super().decode(session_data)
        if self.tenant_id is not None and values.get(TENANT_KEY) != self.tenant_id:
            self._session_key = None
            return {}
        return values

    def create_model_instance(self, data: Mapping[str, Any]) -> UserSession:
        """Return the row of this session, for save()."""
        return self._row(str(self.session_key), data, self.get_expiry_date())

    async def acreate_model_instance(self, data: Mapping[str, Any]) -> UserSession:
        """Return the row of this session, for asave()."""
        return self._row(str(self.session_key), data, await self.aget_expiry_date())

    def flush(self) -> None:
        """Delete the values and the row. A row of another tenant stays."""
        self.get(TENANT_KEY)  # reads the row and checks its tenant
        super().flush()

    async def aflush(self) -> None:
        """See flush()."""
        await self.aget(TENANT_KEY)
        await super().aflush()

    def _row(self, key: str, data: Mapping[str, Any], expire_date: datetime) -> UserSession:
        values = dict(data)
        if self.tenant_id is not None:
            values[TENANT_KEY] = self.tenant_id
        user_id = values.get(SESSION_KEY)
        return UserSession(
            session_key=key,
            session_data=self.encode(values),
            expire_date=expire_date,
            key_hash=session_key_hash(key),
            tenant_id=values.get(TENANT_KEY),
            user_id=int(user_id) if user_id else None,
        )
