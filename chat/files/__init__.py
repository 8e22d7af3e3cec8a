"""Files of messages: how they are judged, stored, shown and deleted."""
