"""Profile pictures: made square, seen by members, deleted with their user's membership."""

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from accounts.models import Domain, Membership, User
from accounts.models import Tenant as TenantRow
from chat.files import services as files
from chat.files.pictures import profile_picture_encode
from chat.models import File
from chat.people import profiles
from realtime.core.history import Publisher
from tests.chat.conftest import World
from tests.chat.test_files import SECRET, code_of, picture, send, stored
from tests.chat.test_rest import HOSTS, Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]


def picture_set(
    world: World, content: bytes | None = None, by: Publisher | None = None, name: str = "me.jpg"
) -> File:
    uploaded = SimpleUploadedFile(name, content or picture(size=(300, 200)))
    profiles.picture_set(world.acme, by or world.alice, uploaded)
    return File.objects.get(uploader_id=int((by or world.alice).id), is_profile_picture=True)


def test_a_profile_picture_is_a_square_that_members_see(world: World, folder: Path) -> None:
    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=TenantRow.objects.get(slug=slug), host=host)
    alice, bob, stranger = Api(world, "alice"), Api(world, "bob"), Api(world, "admin", "globex")
    room_id, urls = world.room(with_bob=True), []
    for kind in ("JPEG", "GIF"):
        given = SimpleUploadedFile("a.png", picture(kind, (90, 300)) + b"<script>")
        answer = alice.client.post("/api/chat/profile/picture/", {"file": given})
        assert answer.status_code == 201
        urls.append(json.loads(answer.content)["profile"]["picture"])
        assert stored(folder) == 2
    gone, url = urls
    assert gone != url
    for path, side in ((url, 256), (f"{url}thumbnail/", 80)):
        got = bob.client.get(path)
        content = b"".join(got)
        assert SECRET not in content
        assert b"<script>" not in content
        with Image.open(BytesIO(content)) as opened:
            assert (opened.format, opened.size, opened.mode) == ("WEBP", (side, side), "RGB")
        assert got["Content-Type"] == "image/webp"
        assert got["Content-Disposition"].startswith("attachment")
        assert got["X-Content-Type-Options"] == "nosniff"
        assert got["Cache-Control"] == "private, max-age=86400"
        missing = stranger.client.get(path.replace(url, "/api/chat/files/999999999/"))
        assert stranger.client.get(path).content == missing.content
        assert bob.client.get(path.replace(url, gone)).status_code == 404
    for path, field in ((f"rooms/{room_id}/members/", "members"), ("users/", "users")):
        listed = bob.call("GET", path)[1][field]
        pictures = {each["username"]: each.get("picture") for each in listed}
        assert (pictures["alice"], pictures["bob"]) == (url, None)
    for _ in range(2):
        answer = alice.client.delete("/api/chat/profile/picture/")
        assert answer.status_code == 200
        assert "picture" not in json.loads(answer.content)["profile"]
    assert (stored(folder), bob.client.get(url).status_code) == (0, 404)


def test_a_picture_that_is_replaced_while_it_is_asked_for_is_no_such_file(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Domain.objects.create(tenant=TenantRow.objects.get(slug="acme"), host=HOSTS["acme"])
    bob, replaced, opened = Api(world, "bob"), picture_set(world), FileSystemStorage.open

    def replace_first(storage: FileSystemStorage, name: str) -> Any:
        picture_set(world)
        return opened(storage, name)

    monkeypatch.setattr(FileSystemStorage, "open", replace_first)
    answer = bob.client.get(f"/api/chat/files/{replaced.pk}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "chat.files.storage" not in {record.name for record in caplog.records}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_profile_picture_is_the_middle_upright(kind: str) -> None:
    given, out, exif = Image.new("RGB", (1200, 3000), "blue"), BytesIO(), Image.Exif()
    given.paste("red", (0, 0, 600, 3000))
    # To be shown after a quarter turn clockwise: the left half is above.
    exif[0x0112] = 6
    given.save(out, kind, exif=exif)
    made = profile_picture_encode(out.getvalue(), kind, pixels_max=0)
    with Image.open(BytesIO(made.content)) as opened:
        colours = [opened.getpixel((x, y)) for x, y in ((10, 10), (245, 10), (10, 245), (245, 245))]
    reds = [isinstance(colour, tuple) and colour[0] > 200 for colour in colours]
    assert reds == [True, True, False, False]


def test_a_see_through_profile_picture_is_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (3000, 20)).save(out, "PNG")
    made = profile_picture_encode(out.getvalue(), "PNG", pixels_max=0)
    with Image.open(BytesIO(made.content)) as opened:
        assert opened.getpixel((128, 128)) == (255, 255, 255)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg onload=alert(1)>",
        b"%PDF-1.7",
        b"text",
        b"GIF89a/*<svg onload=alert(1)>*/=1",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_picture_replaces_none(world: World, folder: Path, content: bytes) -> None:
    kept = picture_set(world)
    assert code_of(lambda: picture_set(world, content)) == "invalid_message"
    assert (File.objects.get(), stored(folder)) == (kept, 2)


def test_a_profile_picture_is_no_attachment_and_stays(world: World, folder: Path, settings: Settings) -> None:
    room_id, mine = world.room(with_bob=True), picture_set(world)
    bobs = picture_set(world, by=world.bob)
    assert code_of(lambda: send(world, room_id, mine.pk)) == "not_found"
    File.objects.update(created_at=timezone.now() - timedelta(days=2))
    files.sweep()
    assert stored(folder) == 4
    settings.CHAT_FILES = {"file_tenant_bytes_max": mine.size + bobs.size}
    # The space of the one that it replaces is free.
    mine = picture_set(world)
    assert code_of(lambda: picture_set(world, by=world.admin)) == "limit_exceeded"
    Membership.objects.filter(user_id=world.bob.id).update(is_active=False)
    assert code_of(lambda: files.access_file(world.acme.id, world.alice.id, bobs.pk)) == "not_found"
    files.sweep()
    assert stored(folder) == 4
    # The picture of a former member is deleted, and so is that of a deleted account.
    Membership.objects.filter(user_id=world.bob.id, tenant_id=world.acme.id).delete()
    files.sweep()
    assert (File.objects.get(), stored(folder)) == (mine, 2)
    User.objects.get(pk=world.alice.id).delete()
    files.sweep()
    assert (File.objects.count(), stored(folder)) == (0, 0)
