"""Keeps secrets out of the logs, whichever module writes them."""

import logging
import re

# A JSON Web Token, the credentials of a query string, bearer values, session cookies.
_SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?<=token=)[^&\s\"']+"
    r"|(?<=ticket=)[^&\s\"']+"
    r"|(?<=sessionid=)[^;\s\"']+"
    r"|(?<=[Bb]earer[ .])[\w.~+/=-]+"
)


def redact(text: str) -> str:
    """`text` with every credential in it replaced by `***`."""
    return _SECRETS.sub("***", text) if _may_hold_secrets(text) else text


def _may_hold_secrets(text: str) -> bool:
    """A quick check that avoids the full search: most lines are the access log's and hold no secret."""
    return "eyJ" in text or "token=" in text or "ticket=" in text or "sessionid=" in text or "earer" in text


class RedactSecrets(logging.Filter):
    """A filter for handlers that removes credentials from messages and tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record if needed; always lets it pass."""
        message = record.getMessage()
        cleaned = redact(message)
        if cleaned != message:
            record.msg = cleaned
            record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True
