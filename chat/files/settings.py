"""The settings of files, from Django's `CHAT_FILES`. A limit of 0 is switched off."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Limits of files, in bytes and in numbers, and the scanner."""

    # Bytes of one file; beyond it `message_too_large`.
    file_bytes_max: int = 10 * 1024 * 1024
    # Bytes of all files of a tenant, and of all that one user uploaded to it; beyond either `limit_exceeded`.
    file_tenant_bytes_max: int = 1024 * 1024 * 1024
    file_user_bytes_max: int = 256 * 1024 * 1024
    # Files of a tenant, and of one user in it, however small they are; beyond either `limit_exceeded`.
    file_tenant_count_max: int = 100_000
    file_user_count_max: int = 10_000
    # Pixels of one picture (`invalid_message`), and threads that decode pictures: each may hold 16 bytes a pixel.
    picture_pixels_max: int = 40_000_000
    picture_threads: int = 1
    # Dotted path of a function `(content: bytes, name: str, type: str) -> str`: it returns why the file is refused,
    # or "". "" is no scanner. If it fails, the file is refused.
    file_scanner: str = ""


def file_settings() -> FileSettings:
    """Return the site's settings of files."""
    return FileSettings(**getattr(settings, "CHAT_FILES", {}))
