"""Finds the type of a file by its content. A file that matches no signature is refused. Pure functions."""

import codecs

from accounts.core.text import has_controls

# Types that are pictures: they are decoded and encoded again.
PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
# Bytes from the beginning of a file that decide about its type.
HEAD_BYTES = 64 * 1024

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
)
# Types that are zip archives, by the end of the name.
_ZIPPED = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
}


def file_type(head: bytes, name: str) -> str | None:
    """Return the type of a file with these first HEAD_BYTES; None if it is of no allowed type."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset) and (
            kind not in {"image/webp", "audio/wav"} or head[:4] == b"RIFF"
        ):
            ending = name[name.rfind(".") :].lower() if "." in name else ""
            return _ZIPPED.get(ending, kind) if kind == "application/zip" else kind
    return "text/plain" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and not has_controls(text, allowed="\n\r\t\f")
