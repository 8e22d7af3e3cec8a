"""Files: types, content as stored, access, and deletion."""

import errno
import json
import os
import shutil
import struct
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from PIL import Image, ImageSequence
from pytest_django import Settings

from accounts.models import Domain, User
from accounts.models import Tenant as TenantRow
from chat import wire
from chat.files import pictures
from chat.files import services as files
from chat.files.pictures import PicturePool, picture_encode, profile_picture_encode
from chat.files.signatures import file_type
from chat.files.storage import file_storage
from chat.messages import changing, reading
from chat.models import File, RoomMembership
from chat.payloads import MessageDelete, MessageEdit, MessageList
from realtime.core.history import Publisher
from realtime.protocol.errors import RequestError
from tests.chat.conftest import World, message_send
from tests.chat.test_rest import HOSTS, Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]

SECRET = b"taken in my garden"


def picture(kind: str = "JPEG", size: tuple[int, int] = (60, 40), **more: Any) -> bytes:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = 6
    Image.new("RGB", size, "red").save(out, kind, **({"exif": exif} | more))
    return out.getvalue()


def stored(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def upload(
    world: World, content: bytes = b"some text", name: str = "a.txt", by: Publisher | None = None
) -> wire.File:
    return files.file_store(world.acme, by or world.alice, SimpleUploadedFile(name, content))


def send(
    world: World, room_id: int, *file_ids: int, by: Publisher | None = None, text: str = ""
) -> wire.Message:
    return message_send(
        world.acme,
        by or world.alice,
        room_id=room_id,
        text=text,
        client_msg_id=uuid.uuid4(),
        file_ids=file_ids,
    )


def code_of(use: Any) -> str:
    with pytest.raises(RequestError) as refused:
        use()
    return refused.value.code.value


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "x", "image/png"),
        (b"RIFF....WEBP", "x", "image/webp"),
        (b"RIFF....WAVE", "x", "audio/wav"),
        (b"\x00...WEBP", "x", None),
        (b"%PDF-1.7", "x.html", "application/pdf"),
        (b"PK\x03\x04", "x.zip", "application/zip"),
        (b"PK\x03\x04", "x.html", "application/zip"),
        (b"PK\x03\x04", "A.ODT", "application/vnd.oasis.opendocument.text"),
        (b"<svg onload=alert(1)>", "x.svg", "text/plain"),
        ("Grüße\n".encode(), "x", "text/plain"),
        ("Grüße".encode()[:3], "x", "text/plain"),
        (b"MZ\x90\x00", "x.exe", None),
        (b"\x7fELF", "x", None),
        (b"", "x", None),
    ],
)
def test_the_content_decides_about_the_type(head: bytes, name: str, kind: str | None) -> None:
    assert file_type(head, name) == kind


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\a b.txt", "a b.txt"),
        ("gpj\u202etxt.exe", "gpjtxt.exe"),
        ('<img src=x onerror="alert(1)">.png', '<img src=x onerror="alert(1)">.png'),
        ("\r\nSet-Cookie: x", "Set-Cookie: x"),
        ("", "file"),
        ("\u3164.png", "file.png"),
        ("x" * 300 + ".png", "x" * 180 + ".png"),
    ],
)
def test_names_are_visible_and_short(name: str, clean: str) -> None:
    assert files.file_name(name) == clean


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_is_only_a_picture(kind: str) -> None:
    more: dict[str, Any] = {"comment": SECRET} if kind in {"GIF", "JPEG"} else {}
    content = picture(kind, **more) + SECRET
    assert SECRET in content
    made = picture_encode(content, kind, pixels_max=10_000)
    assert SECRET not in made.content
    assert SECRET not in made.thumbnail
    # The orientation is in the pixels now.
    turned = kind != "GIF"
    assert (made.width, made.height) == ((40, 60) if turned else (60, 40))
    with Image.open(BytesIO(made.content)) as opened:
        assert (opened.format, opened.size) == (kind, (made.width, made.height))
        assert not opened.getexif()


@pytest.mark.parametrize("encode", [picture_encode, profile_picture_encode])
def test_greys_of_16_bits_stay_grey(encode: Callable[..., pictures.Picture]) -> None:
    out = BytesIO()
    # Little-endian: the left half is clear.
    grey = Image.frombytes("I;16", (8, 8), bytes([0, 200] * 4 + [0, 120] * 4) * 8)
    grey.save(out, "PNG", transparency=200 * 256)
    with Image.open(BytesIO(encode(out.getvalue(), "PNG", pixels_max=0).thumbnail)) as small:
        shown = small.convert("RGBA")
        # On white, as a profile picture is.
        seen = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("L")
        assert seen.getpixel((small.width - 1, 0)) == pytest.approx(120, abs=3)
        assert seen.getpixel((0, 0)) == pytest.approx(255, abs=3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_a_moving_picture_moves_on_in_its_own_time(kind: str) -> None:
    out, times_ms = BytesIO(), [50, 400, 90]
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=times_ms)
    for pixels_max, count in ((1000, 3), (100, 1)):
        made = picture_encode(out.getvalue(), kind, pixels_max=pixels_max)
        with Image.open(BytesIO(made.content)) as opened:
            assert getattr(opened, "n_frames", 1) == count
            shown = [frame.copy().info.get("duration") for frame in ImageSequence.Iterator(opened)]
            assert count == 1 or shown == times_ms


@pytest.mark.parametrize("content", [b"\xff\xd8\xff nothing", picture()[:200], b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_picture_is_refused(world: World, folder: Path, content: bytes) -> None:
    assert code_of(lambda: upload(world, content)) == "invalid_message"
    assert stored(folder) == 0


def test_a_picture_with_too_many_pixels_is_not_decoded(world: World, settings: Settings) -> None:
    settings.CHAT_FILES = {"picture_pixels_max": 60 * 40 - 1}
    assert code_of(lambda: upload(world, picture())) == "invalid_message"


def test_a_picture_whose_rows_cost_more_than_its_pixels_is_not_decoded(world: World) -> None:
    for size in ((1, 65_536), (65_536, 1)):
        assert code_of(lambda size=size: upload(world, picture("PNG", size))) == "invalid_message"
    assert upload(world, picture("PNG", (1, 65_535))).width == 65_535


@pytest.mark.parametrize("encode", [picture_encode, profile_picture_encode])
def test_a_photo_with_several_pictures_is_the_first_of_them(encode: Any) -> None:
    """As cameras make them: a JPEG with a second picture for depth or brightness."""
    out = BytesIO()
    second = Image.new("RGB", (30, 20), "blue")
    Image.new("RGB", (60, 40), "red").save(out, "MPO", save_all=True, append_images=[second])
    encoded = encode(out.getvalue(), "JPEG", pixels_max=0)
    colour: Any = Image.open(BytesIO(encoded.content)).convert("RGB").getpixel((9, 9))
    assert colour[0] > colour[2] + 200


def exif_of(entries: int) -> bytes:
    """EXIF data: turned by 90 degrees, and `entries` tags that lie about where they end."""
    tags = [struct.pack(">HHIHH", 0x112, 3, 1, 6, 0)]
    tags += [struct.pack(">HHII", 1000 + number, 2, 1_000_000, 8) for number in range(entries)]
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + b"".join(tags) + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_is_wrong_about_a_picture_is_not_in_the_log(kind: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        pictures.ignore_warnings()
        encoded = picture_encode(picture(kind, exif=exif_of(500)), kind, pixels_max=0)
    assert (encoded.width, encoded.height) == (40, 60)
    assert told == []


def test_exif_data_that_cannot_be_written_again_is_not() -> None:
    odd = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0)
    odd += struct.pack(">HHIHH", 0x101, 2, 2, 0x4100, 0) + bytes(4)
    encoded = picture_encode(picture("PNG", exif=odd), "PNG", pixels_max=0)
    assert (encoded.width, encoded.height) == (40, 60)


def test_an_error_that_pillow_does_not_name_is_damage_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr(pictures, "_encoded", fail)
    assert code_of(lambda: upload(world, picture())) == "invalid_message"


def test_few_pictures_wait() -> None:
    pool = PicturePool(1, 0)
    assert pool.run(lambda: code_of(lambda: pool.run(print))) == "rate_limited"
    assert pool.run(int, "7") == 7


def test_space_is_bounded_and_what_is_refused_leaves_nothing(
    world: World, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_FILES = {"file_bytes_max": 10, "file_tenant_bytes_max": 25, "file_user_bytes_max": 15}
    assert code_of(lambda: upload(world, b"x" * 11)) == "message_too_large"
    upload(world, b"x" * 10)
    assert code_of(lambda: upload(world, b"x" * 10)) == "limit_exceeded"
    upload(world, b"x" * 10, by=world.bob)
    assert code_of(lambda: upload(world, b"x" * 10, by=world.admin)) == "limit_exceeded"
    assert (stored(folder), File.objects.count()) == (2, 2)
    settings.CHAT_FILES = dict.fromkeys(settings.CHAT_FILES, 0)
    upload(world, b"x" * 100)
    monkeypatch.setattr(files, "UNATTACHED_MAX", 2)
    assert code_of(lambda: upload(world)) == "limit_exceeded"
    assert stored(folder) == 3


def test_the_number_of_files_is_bounded_however_small_they_are(world: World, settings: Settings) -> None:
    settings.CHAT_FILES = {"file_tenant_count_max": 3, "file_user_count_max": 2}
    upload(world)
    upload(world)
    assert code_of(lambda: upload(world)) == "limit_exceeded"
    upload(world, by=world.bob)
    assert code_of(lambda: upload(world, by=world.bob)) == "limit_exceeded"
    settings.CHAT_FILES = dict.fromkeys(settings.CHAT_FILES, 0)
    upload(world)


def refuse_all(content: bytes, name: str, kind: str) -> str:
    return "Bad." if b"virus" in content else ""


def fail(content: bytes, name: str, kind: str) -> str:
    raise OSError("no scanner")


def test_a_slow_disk_holds_up_no_transaction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    save = files._save
    locked: list[bool] = []

    def save_slowly(*given: Any) -> None:
        locked.append(connection.in_atomic_block)
        save(*given)

    monkeypatch.setattr(files, "_save", save_slowly)
    upload(world, picture())
    assert locked == [False]


def test_a_scanner_is_asked_and_fails_closed(world: World, settings: Settings) -> None:
    settings.CHAT_FILES = {"file_scanner": f"{__name__}.refuse_all"}
    upload(world)
    assert code_of(lambda: upload(world, b"a virus")) == "invalid_message"
    settings.CHAT_FILES = {"file_scanner": f"{__name__}.fail"}
    assert code_of(lambda: upload(world)) == "invalid_message"


def test_files_stand_in_the_order_in_which_the_sender_named_them(world: World) -> None:
    """Uploads run side by side and end in any order; a file that is named twice has its first place."""
    first, second, third = (upload(world, name=name) for name in ("a.txt", "b.txt", "c.txt"))
    room_id = world.room()
    sent = send(world, room_id, third.id, first.id, third.id, second.id)
    assert [file.name for file in sent.files] == ["c.txt", "a.txt", "b.txt"]
    (stored,) = reading.message_list(world.acme.id, world.alice.id, MessageList(room_id, limit=1)).messages
    assert stored.files == sent.files


def test_a_file_goes_with_one_message_of_its_uploader(world: World, folder: Path) -> None:
    room_id = world.room(with_bob=True)
    file = upload(world, picture(), "p.jpg")
    assert code_of(lambda: send(world, room_id, file.id, by=world.bob)) == "not_found"
    assert code_of(lambda: send(world, room_id)) == "invalid_message"
    message = send(world, room_id, file.id)
    assert message.files == [file]
    assert (message.text, message.html) == ("", "")
    assert reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).messages == [
        message
    ]
    assert code_of(lambda: send(world, room_id, file.id)) == "not_found"
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=1, text=""))
    assert stored(folder) == 2
    assert changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=1)).files == []
    assert (stored(folder), File.objects.count()) == (0, 0)


def test_who_may_have_a_file(world: World) -> None:
    room_id = world.room(with_bob=True)
    file = upload(world)

    def may(user: Publisher, tenant_id: int = world.acme.id) -> bool:
        try:
            files.access_file(tenant_id, user.id, file.id)
        except RequestError as refused:
            if refused.code != "not_found":
                raise
            return False
        return True

    people = (world.alice, world.bob, world.admin)
    assert [may(user) for user in people] == [True, False, False]
    send(world, room_id, file.id)
    assert [may(user) for user in people] == [True, True, False]
    assert not may(world.alice, world.globex.id)
    RoomMembership.objects.filter(user_id=world.bob.id).delete()
    assert not may(world.bob)


def test_what_is_not_sent_within_a_day_is_swept(world: World, folder: Path) -> None:
    room_id = world.room()
    sent, old = upload(world), upload(world)
    upload(world)
    send(world, room_id, sent.id)
    File.objects.filter(pk__in=[sent.id, old.id]).update(created_at=timezone.now() - timedelta(days=2))
    assert files.sweep() is False
    assert not File.objects.filter(pk=old.id).exists()
    assert (stored(folder), File.objects.count()) == (2, 2)


def test_a_file_that_is_sent_while_it_is_swept_is_sent_or_gone(world: World, folder: Path) -> None:
    """PostgreSQL does not hold up a sender: between its reading and its deletion of a row, the row may be attached."""
    room_id, old = world.room(), upload(world)
    File.objects.update(created_at=timezone.now() - timedelta(days=2))
    sending: list[Future[wire.Message]] = []

    def send_now() -> wire.Message:
        try:
            return send(world, room_id, old.id)
        finally:
            connection.close()

    def send_before_deletion(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith('DELETE FROM "chat_file"'):
            sending.append(threads.submit(send_now))
            wait(sending, timeout=0.2)
        return execute(sql, *rest)

    with ThreadPoolExecutor(1) as threads, connection.execute_wrapper(send_before_deletion):
        files.sweep()
    is_sent = sending[0].exception() is None
    assert (File.objects.exists(), stored(folder)) == (is_sent, is_sent)


def test_files_go_with_their_tenant(world: World, folder: Path) -> None:
    room_id = world.room()
    send(world, room_id, upload(world, picture(), "p.jpg").id)
    upload(world)
    assert stored(folder) == 3
    TenantRow.objects.get(pk=world.acme.id).delete()
    assert (stored(folder), File.objects.count()) == (0, 0)


def test_a_sent_file_stays_when_its_sender_s_account_is_deleted(world: World, folder: Path) -> None:
    room_id = world.room(with_bob=True)
    file, unsent = upload(world, by=world.bob), upload(world, by=world.bob)
    send(world, room_id, file.id, by=world.bob)
    User.objects.get(pk=world.bob.id).delete()
    (message,) = reading.message_list(world.acme.id, world.alice.id, MessageList(room_id, limit=1)).messages
    assert message.files == [file]
    assert files.access_file(world.acme.id, world.alice.id, file.id)
    File.objects.filter(pk=unsent.id).update(created_at=timezone.now() - timedelta(days=2))
    files.sweep()
    assert stored(folder) == 1


def test_a_storage_that_fails_is_one_line_of_the_log_and_an_answer(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=TenantRow.objects.get(slug=slug), host=host)
    alice, room_id = Api(world, "alice"), world.room()
    lost = upload(world)
    send(world, room_id, lost.id)
    jpeg = SimpleUploadedFile("a.jpg", picture())
    face = files.file_store(world.acme, world.alice, jpeg, is_profile_picture=True)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()

    def is_full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", is_full)
    answers = [
        alice.client.get(lost.url),
        alice.client.get(face.url),
        alice.client.post("/api/chat/files/", {"file": SimpleUploadedFile("a.txt", b"text")}),
        alice.client.post("/api/chat/profile/picture/", {"file": SimpleUploadedFile("a.jpg", picture())}),
    ]
    assert [(each.status_code, each.json()["error"]["code"]) for each in answers] == [(500, "internal")] * 4
    assert [each["Cache-Control"] for each in answers] == ["no-store"] * 4
    assert File.objects.count() == 2
    told = [record for record in caplog.records if record.name == "chat.files.storage"]
    assert [record.exc_info for record in told] == [None] * 4
    assert ["No such file" in told[0].getMessage(), "No space left" in told[2].getMessage()] == [True, True]
    assert all("CHAT_FILES_DIR" in record.getMessage() for record in told)


def test_a_file_over_http_is_an_attachment_in_which_nothing_runs(world: World) -> None:
    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=TenantRow.objects.get(slug=slug), host=host)
    alice, bob, room_id = Api(world, "alice"), Api(world, "bob"), world.room(with_bob=True)
    hostile = SimpleUploadedFile("<svg>\u202e\"'.svg", b"<svg onload=alert(1)>", "image/svg+xml")
    answer = alice.client.post("/api/chat/files/", {"file": hostile})
    body = json.loads(answer.content)
    assert (answer.status_code, body["type"], body["name"]) == (201, "text/plain", "<svg>\"'.svg")
    assert bob.client.get(body["url"]).status_code == 404
    send(world, room_id, body["id"])
    for url in (body["url"], f"{body['url']}thumbnail/"):
        got = bob.client.get(url)
        assert b"".join(got) == b"<svg onload=alert(1)>"
        assert got["Content-Disposition"].startswith("attachment")
        assert got["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in got["Content-Security-Policy"]
        assert got["Content-Type"] == "text/plain"
    again = bob.client.get(body["url"], headers={"if-none-match": got["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert Api(world, "admin", "globex").client.get(body["url"]).status_code == 404
    assert alice.client.post("/api/chat/files/", {}).status_code == 400
    assert file_storage().exists(f"{world.acme.id}")


def test_contents_without_a_row_are_listed_and_deleted(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an older copy of the database was restored; those of today may be on their way to a row."""

    def told(*options: str) -> list[str]:
        out = StringIO()
        call_command("delete_lost_files", *options, stdout=out)
        return out.getvalue().split("\n")[:-1]

    kept, lost, young = (upload(world, picture(), f"{number}.jpg") for number in range(3))
    old = (timezone.now() - timedelta(days=2)).timestamp()
    rows = File.objects.filter(pk__in=[lost.id, young.id])
    key, young_key = (File.objects.get(pk=each.id).key for each in (lost, young))
    for path in folder.rglob("*"):
        if path.is_file() and young_key.hex not in path.name:
            os.utime(path, (old, old))
    # Without the signal that deletes the content.
    rows._raw_delete(rows.db)
    listed = f"{world.acme.id}/{key.hex[:2]}/{key.hex}"
    assert told() == [listed, "1 without a row"]
    assert stored(folder) == 6
    storage, out = "django.core.files.storage.FileSystemStorage", StringIO()

    def fail(error: OSError) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(f"{storage}.delete", lambda *_: fail(PermissionError("read-only")))
        with pytest.raises(CommandError, match="1 could not be deleted"):
            call_command("delete_lost_files", "--delete", stdout=out)
    assert out.getvalue().split("\n")[:-1] == [listed, "0 deleted"]
    with monkeypatch.context() as patched:
        patched.setattr(f"{storage}.get_modified_time", lambda *_: fail(FileNotFoundError()))
        assert told() == ["0 without a row"]
    assert told("--delete") == [listed, "1 deleted"]
    assert stored(folder) == 4
    assert told("--delete") == ["0 deleted"]
    assert files.access_file(world.acme.id, world.alice.id, kept.id)
    shutil.rmtree(folder)
    with pytest.raises(CommandError, match="CHAT_FILES_DIR"):
        told()
