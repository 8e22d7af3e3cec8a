"""Decodes pictures and encodes them again: EXIF, colour profiles and hidden data are dropped.

It takes processor time and memory, so a few threads do it, and few wait. A picture with more pixels than the
site allows is refused before it is decoded.
"""

import logging
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

from django.utils.translation import gettext as _
from PIL import ExifTags, Image, ImageOps, ImageSequence

from chat.errors import field_error, too_fast
from chat.files.settings import file_settings
from realtime import RequestError, current_node

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# Pixels of each side of a thumbnail, at most.
THUMBNAIL_SIDE = 480
# Pixels of each side of a profile picture, and of its thumbnail.
PROFILE_SIDE = 256
PROFILE_THUMBNAIL_SIDE = 80
# Pictures that wait for a thread; beyond it `rate_limited`.
WAITING_MAX = 8
RETRY_AFTER_S = 1.0
# Pixels of a side: more than any camera has. A row costs memory of its own: 40 million rows of one pixel took 1.9 GB.
SIDE_MAX = 65_535
# Frames of a moving picture; of one with more, or with too many pixels in all, the first is kept.
FRAMES_MAX = 200
# Formats that Pillow writes with several frames. A JPEG of some cameras has several pictures: the first is the photo.
_MOVING = frozenset({"GIF", "PNG", "WEBP"})
# How a picture with an orientation in its EXIF data has to be turned.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is stored: its content, its thumbnail (WebP), its size in pixels."""

    content: bytes
    thumbnail: bytes
    width: int
    height: int


def picture_encode(content: bytes, kind: str, *, pixels_max: int) -> Picture:
    """Return a picture of the Pillow format `kind` encoded again. 0 pixels: no bound.

    Raises RequestError(invalid_message) for a damaged picture, or one with too many pixels.
    """
    return _opened(content, kind, pixels_max, lambda opened: _encoded(opened, kind, pixels_max))


def profile_picture_encode(content: bytes, kind: str, *, pixels_max: int) -> Picture:
    """Return the middle of a picture as a square of PROFILE_SIDE, still and opaque (WebP). Raises as `picture_encode`."""
    return _opened(content, kind, pixels_max, _square)


def ignore_warnings() -> None:
    """Ignore Pillow's warnings in this process: a picture could cause 60,000 different ones, each a line of the log."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


ignore_warnings()


def picture_pool() -> "PicturePool":
    """Return the pool of this process. It is made at the first picture, so that no fork inherits it."""
    threads = max(file_settings().picture_threads, 1)
    return current_node().shared(PicturePool, lambda: PicturePool(threads, WAITING_MAX))


def _encoded(opened: Any, kind: str, pixels_max: int) -> Picture:
    frames = getattr(opened, "n_frames", 1)
    pixels = opened.width * opened.height * frames
    is_moving = kind in _MOVING and 1 < frames <= FRAMES_MAX and not (pixels_max and pixels > pixels_max)
    out = BytesIO()
    if is_moving:
        still = _moving(opened, kind, out)
    else:
        still = _upright(opened)
        if kind == "JPEG" and still.mode not in {"RGB", "L"}:
            still = still.convert("RGB")
        _without_extras(still).save(out, format=kind, quality=88)
    small = _in_8_bits(still)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return Picture(out.getvalue(), _webp(small), still.width, still.height)


def _opened(content: bytes, kind: str, pixels_max: int, encode: Callable[[Any], Picture]) -> Picture:
    try:
        with Image.open(BytesIO(content), formats=[kind]) as opened:
            if pixels_max and opened.width * opened.height > pixels_max:
                raise field_error("file", _("A picture has at most {most} pixels.").format(most=pixels_max))
            if max(opened.size) > SIDE_MAX:
                message = _("A side of a picture has at most {most} pixels.")
                raise field_error("file", message.format(most=SIDE_MAX))
            return encode(opened)
    except RequestError:
        raise
    except Exception as error:
        if not isinstance(error, _FAULTS):
            # Pillow meets some damage with errors that it does not name.
            logger.info("A picture could not be decoded", exc_info=True)
        raise field_error("file", _("This picture is damaged.")) from None


def _upright(opened: Any) -> Any:
    """Return the picture as its EXIF data says that it is looked at.

    `ImageOps.exif_transpose` would also write that data again, which fails for some photos, and nobody gets it.
    """
    turn = _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation))
    return opened if turn is None else opened.transpose(turn)


def _in_8_bits(picture: Any) -> Any:
    """Return the picture with 8 bits a channel. Pillow itself makes the lighter greys of 16 bits white."""
    if picture.mode.startswith("I"):
        picture = picture.point(lambda value: value / 256).convert("L")
        if picture.has_transparency_data:
            picture.info["transparency"] //= 256
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _square(opened: Any) -> Picture:
    side = (PROFILE_SIDE, PROFILE_SIDE)
    # A large JPEG is decoded at a fraction of its size.
    opened.draft(None, side)
    upright = _upright(opened)
    square = ImageOps.fit(_in_8_bits(upright), side)
    # Opaque, because the page shows it above the initial of the name.
    white = Image.new("RGBA", side, "white")
    large = Image.alpha_composite(white, square.convert("RGBA")).convert("RGB")
    small = large.resize((PROFILE_THUMBNAIL_SIDE, PROFILE_THUMBNAIL_SIDE))
    return Picture(_webp(large), _webp(small), PROFILE_SIDE, PROFILE_SIDE)


def _webp(picture: Any) -> bytes:
    out = BytesIO()
    _without_extras(picture).save(out, format="WEBP", quality=80)
    return out.getvalue()


def _moving(opened: Any, kind: str, out: BytesIO) -> Any:
    frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(opened)]
    durations = [int(frame.info.get("duration", 100)) for frame in frames]
    frames[0].save(
        out, format=kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=80
    )
    return frames[0]


def _without_extras(picture: Any) -> Any:
    """Remove everything but pixels and palette, because some formats would write it too."""
    transparency = picture.info.get("transparency")
    picture.info = {} if transparency is None else {"transparency": transparency}
    return picture


class PicturePool:
    """At most `threads` run at once and `waiting` more wait."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._turns = threading.Semaphore(threads)
        self._places = threading.BoundedSemaphore(threads + waiting)

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` and return its result; raises RequestError(rate_limited)."""
        if not self._places.acquire(blocking=False):
            raise too_fast(_("Too many pictures at this moment."), RETRY_AFTER_S)
        try:
            with self._turns:
                return work(*args, **kwargs)
        finally:
            self._places.release()
