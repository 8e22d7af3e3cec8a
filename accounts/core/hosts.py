"""Host names as stored in the tenant table: exact, lower case, without a port."""

import re

import idna
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_HOST_CHARS = 253
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def validate_host(host: str) -> None:
    """Raise ValidationError unless `host` is a lower-case domain name or an IPv4 address."""
    if _is_host(host):
        return
    message = _("Expected a host such as acme.example.com: lower case, no scheme, no port.")
    if written := _as_sent(host):
        message = _("Write this host as browsers send it: {host}").format(host=written)
    raise ValidationError(message)


def _as_sent(host: str) -> str:
    """Return the form in which browsers send a host: in lower case, other letters as `xn--…`; "" if it is none."""
    try:
        written = idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return ""
    return written if _is_host(written) else ""


def _is_host(host: str) -> bool:
    return len(host) <= MAX_HOST_CHARS and _HOST.fullmatch(host) is not None
