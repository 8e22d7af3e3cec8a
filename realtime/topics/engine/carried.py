"""A publication as it is stored at a broker and carried to other nodes: its body is the payload of the push without topic
and offset, which the reader knows."""

from typing import NamedTuple

import msgspec

from realtime.core.history import Draft, Publication, Publisher
from realtime.core.position import Position
from realtime.protocol.codec import encode_bytes


class _Body(msgspec.Struct, frozen=True):
    """The fields of `Publication` after its offset, in their order."""

    data: msgspec.Raw
    publisher: Publisher | None
    time: str


class Carried(NamedTuple):
    """A publication that came over the bus."""

    position: Position
    body: bytes


_decoder = msgspec.json.Decoder(_Body)
_BEGINNING = b'{"data":'


def encode_body(draft: Draft) -> bytes:
    """Return the body of a draft."""
    return encode_bytes(_Body(draft.data, draft.publisher, draft.time))


def decode_body(topic: str, offset: int, body: bytes) -> Publication:
    """Return the publication of a body; raises msgspec.DecodeError, RecursionError or ValueError for anything else."""
    read = _decoder.decode(body)
    # A copy, because the decoded value keeps the whole reply in memory.
    return Publication(topic, offset, read.data.copy(), read.publisher, read.time)


def payload_of(topic: str, offset: int, body: bytes) -> bytes:
    """Return the payload of the push, as JSON."""
    return b'{"topic":%b,"offset":%d,%b' % (encode_bytes(topic), offset, body[1:])


def encode_carried(carried: Carried) -> bytes:
    """Return a message of the bus, as the script `ADD` writes it."""
    return b"%b %d %b" % (carried.position.epoch.encode(), carried.position.offset, carried.body)


def decode_carried(message: bytes) -> Carried | None:
    """Return what came over the bus; None if it is no publication."""
    try:
        epoch, offset, body = message.split(b" ", 2)
        position = Position(epoch.decode("ascii"), int(offset))
    except ValueError:
        return None
    is_one = position.epoch and position.offset > 0 and body.startswith(_BEGINNING)
    return Carried(position, body) if is_one else None
