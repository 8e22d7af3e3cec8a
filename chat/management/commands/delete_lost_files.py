"""`manage.py delete_lost_files`: contents without a row, as an older database that was restored leaves them."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chat.files.services import UNATTACHED
from chat.files.storage import contents_delete, file_path, file_storage
from chat.models import File

_CONTENT = re.compile(r"([0-9a-f]{32})(?:\.thumbnail)?", re.ASCII)


class Command(BaseCommand):
    """List the contents without a row that are older than a day, or delete them."""

    help = "List the files that no row names and that are older than a day. Read the list, then add --delete."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the order to delete."""
        parser.add_argument("--delete", action="store_true", help="delete them; there is no way back")

    def handle(self, *, delete: bool, **_: object) -> None:
        """Write the path of each, and how many there are. Raises CommandError if the storage fails."""
        count = failed = 0
        try:
            for tenant_id, key in _lost():
                self.stdout.write(file_path(tenant_id, key))
                is_done = not delete or contents_delete([(tenant_id, key)])
                count, failed = count + is_done, failed + (not is_done)
        except OSError as error:
            raise CommandError(f"The storage of files cannot be read (CHAT_FILES_DIR): {error}") from error
        self.stdout.write(f"{count} {'deleted' if delete else 'without a row'}")
        if failed:
            raise CommandError(f"{failed} could not be deleted; the log says why.")


def _lost() -> Iterator[tuple[int, UUID]]:
    """Yield the tenant and the key of each. A content is written before its row, so young ones are left out."""
    storage, before = file_storage(), timezone.now() - UNATTACHED
    for tenant in filter(str.isdecimal, storage.listdir("")[0]):
        for folder in storage.listdir(tenant)[0]:
            path = f"{tenant}/{folder}"
            found = filter(None, map(_CONTENT.fullmatch, storage.listdir(path)[1]))
            names = {UUID(each[1]): each[0] for each in found}
            known = File.objects.filter(tenant_id=int(tenant), key__in=list(names))
            for key in names.keys() - set(known.values_list("key", flat=True)):
                # Others delete contents too, between the list and the question.
                with suppress(FileNotFoundError):
                    if storage.get_modified_time(f"{path}/{names[key]}") < before:
                        yield int(tenant), key
