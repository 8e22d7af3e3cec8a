"""The errors of the client."""

from collections.abc import Mapping
from typing import Any

from realtime.protocol.errors import RealtimeError


class ClientError(RealtimeError):
    """A request that was refused or timed out, and the base of the client's errors.

    `code` is the server's error code, or `disconnected`. `retryable` says whether the same request may succeed
    later, `retry_after_s` how long to wait before (0.0: the server did not say). `details` names the fault:
    `{"field": "payload.user_id"}`, for example.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.details = dict(details or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DisconnectedError(ClientError):
    """There is no connection, or it was lost before the reply: nobody knows whether the request was done."""

    def __init__(
        self, message: str = "There is no connection.", *, retryable: bool = True, **more: Any
    ) -> None:
        super().__init__("disconnected", message, retryable=retryable, **more)


class SignedOutError(ClientError):
    """The server takes no credential of this client, or nobody is signed in. The client has stopped."""

    def __init__(self, message: str = "Nobody is signed in.", **more: Any) -> None:
        super().__init__("unauthenticated", message, **more)


class HistoryLostError(ClientError):
    """Publications of a topic were lost, because its history does not reach back far enough.

    Load the state again. The same subscription goes on from the server's position.
    """

    def __init__(self, topic: str) -> None:
        message = f"Publications of {topic!r} were lost; load the state again."
        super().__init__("unrecoverable_position", message)


def error_of(payload: Mapping[str, Any]) -> ClientError:
    """Return the error of an `error` message."""
    return ClientError(
        str(payload.get("code", "internal")),
        str(payload.get("message", "")),
        retryable=payload.get("retryable") is True,
        retry_after_s=(payload.get("retry_after_ms") or 0) / 1000,
        details=payload.get("details"),
    )


def timed_out() -> ClientError:
    """Return the error of a request without an answer."""
    return ClientError("timeout", "The server did not answer in time.", retryable=True)


def none_came(timeout_s: float) -> ClientError:
    """Return the error of a wait for a publication."""
    return ClientError("timeout", f"No publication came within {timeout_s:g} s.", retryable=True)


def unsent() -> ClientError:
    """Return the error of a request that found no connection in its time."""
    words = "There was no connection in this time: check the URL, the credential, and that the server runs."
    return ClientError("timeout", words, retryable=True)
