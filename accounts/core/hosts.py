"""Host names as stored in the tenant table: exact, lower case, without a port."""

import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_HOST_CHARS = 253
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def validate_host(host: str) -> None:
    """Raise ValidationError unless `host` is a lower-case domain name or an IPv4 address."""
    if len(host) > MAX_HOST_CHARS or not _HOST.fullmatch(host):
        raise ValidationError(_("Expected a host such as acme.example.com: lower case, no scheme, no port."))
