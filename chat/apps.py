"""The Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ChatConfig(AppConfig):
    """Makes the index of messages' texts after every `migrate`."""

    name = "chat"

    def ready(self) -> None:
        """Called by Django once, when all models are loaded."""
        from chat.search.index import ensure_index  # noqa: PLC0415 models must be ready first

        post_migrate.connect(ensure_index, sender=self, dispatch_uid="chat_search_index")
