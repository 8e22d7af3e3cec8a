"""The storage of files: the site's storage `chat`, with each file under its tenant and key."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.core.files.storage import Storage, storages
from django.db import transaction
from django.utils.translation import gettext as _

from chat.models import File
from realtime import ErrorCode, RequestError

logger = logging.getLogger(__name__)

THUMBNAIL = ".thumbnail"


def file_storage() -> Storage:
    """Return the storage of the chat's files. It is private: nothing serves it but our own view."""
    return storages["chat"]


def file_path(tenant_id: int, key: UUID) -> str:
    """Return the name of a file in the storage."""
    return f"{tenant_id}/{key.hex[:2]}/{key.hex}"


def storage_failure(error: OSError) -> RequestError:
    """Log why the storage cannot be used, in one line, and return the answer: it may work later, or on another node."""
    logger.error(
        "The storage of files fails: %s. All processes need the same folder (CHAT_FILES_DIR), with rights and space.",
        error,
    )
    return RequestError(ErrorCode.INTERNAL, _("The storage of files fails here; it has been logged."))


def delete_with_row(instance: File, **_signal: Any) -> None:
    """Delete the content of a file after the commit that deletes its row, also with its room or tenant (`post_delete`)."""
    transaction.on_commit(partial(contents_delete, [(instance.tenant_id, instance.key)]), robust=True)


def contents_delete(found: Iterable[tuple[int, Any]]) -> bool:
    """Delete contents whose rows are gone, and return whether all are. A failure is logged, others are still deleted."""
    storage, are_gone = file_storage(), True
    for tenant_id, key in found:
        path = file_path(tenant_id, key)
        for name in (path, path + THUMBNAIL):
            try:
                storage.delete(name)
            except OSError:
                are_gone = False
                logger.exception("A file without a row stays in the storage: %s", name)
    return are_gone
