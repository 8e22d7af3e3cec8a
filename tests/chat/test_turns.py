"""One writer at a time in a room, in the order they came."""

import asyncio

from chat.turns import RoomTurns


async def test_writers_of_a_room_take_turns_in_order() -> None:
    turns, written = RoomTurns(), []

    async def write(number: int) -> None:
        async with turns.of(1, 7):
            written.append(f"{number} begins")
            await asyncio.sleep(0)
            written.append(f"{number} ends")

    await asyncio.gather(*(write(number) for number in range(3)))
    assert written == [f"{number} {what}" for number in range(3) for what in ("begins", "ends")]


async def test_other_rooms_and_tenants_do_not_wait() -> None:
    turns = RoomTurns()
    async with turns.of(1, 7):
        assert not turns.of(1, 8).locked()
        assert not turns.of(2, 7).locked()
        assert turns.of(1, 7).locked()


async def test_a_room_nobody_writes_in_is_forgotten() -> None:
    turns = RoomTurns()
    async with turns.of(1, 7):
        assert len(turns._locks) == 1
    assert len(turns._locks) == 0
