"""The Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate


class ChatConfig(AppConfig):
    """Makes the index of messages' texts after every `migrate`, and deletes contents of files with their rows."""

    name = "chat"

    def ready(self) -> None:
        """Called by Django once, when all models are loaded."""
        # Models must be ready first.
        from chat.files.storage import delete_with_row  # noqa: PLC0415
        from chat.search.index import ensure_index  # noqa: PLC0415

        post_delete.connect(delete_with_row, sender="chat.File", dispatch_uid="chat_file_contents")
        post_migrate.connect(ensure_index, sender=self, dispatch_uid="chat_search_index")
