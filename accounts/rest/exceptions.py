"""The exception for REST answers other than success."""

from typing import Self

from rest_framework.exceptions import APIException

from realtime import Refusal


class ApiError(APIException):
    """A REST answer other than success. `retry_after_s` becomes the `Retry-After` header, in seconds."""

    def __init__(
        self, status_code: int, code: str, message: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail=message, code=code)
        self.status_code = status_code
        self.code = code
        # REST framework's own handler reads this attribute.
        self.wait = retry_after_s

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Self:
        """Return the same answer that a socket would get."""
        return cls(refusal.status, refusal.code, refusal.message, retry_after_s=refusal.retry_after_s)
