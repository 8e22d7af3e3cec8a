"""`python -m bench.peers.channels_table`: make the table of the Channels site that stores."""

from django.db import connection

from bench.peers.channels_site import StoredMessage

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(StoredMessage)
