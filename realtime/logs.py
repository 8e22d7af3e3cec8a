"""Keeping secrets out of logs, whoever writes them."""

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
# Without one of these there is none, and nothing to search for: most lines are the access log's.
_MARKS = ("eyJ", "token=", "ticket=", "sessionid=", "earer")


def redact(text: str) -> str:
    """`text` with every credential in it replaced by `***`."""
    if not any(mark in text for mark in _MARKS):
        return text
    return _SECRETS.sub("***", text)


class RedactSecrets(logging.Filter):
    """A filter for handlers: what passes holds no credential, in the message or in a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record where needed; always lets it pass."""
        message = record.getMessage()
        cleaned = redact(message)
        if cleaned != message:
            record.msg = cleaned
            record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True
