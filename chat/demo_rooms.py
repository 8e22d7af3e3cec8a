"""The rooms of the demo and their first messages."""

from collections.abc import Mapping

# Messages by room: (index of the author among the tenant's members, text).
DEMO_ROOMS: Mapping[str, tuple[tuple[int, str], ...]] = {
    "general": (
        (0, "Welcome! This room is for everybody."),
        (1, "Hi all 👋 Good to be here."),
        (2, "Morning! Is the release still planned for today?"),
        (1, "Yes, after lunch. I will write here when it is out."),
        (0, "Open this page in a second browser, sign in as somebody else, and watch messages arrive."),
    ),
    "random": (
        (1, "There is cake in the kitchen."),
        (2, "There was cake in the kitchen."),
    ),
    "help": (
        (2, "How do I make a private room?"),
        (0, "Create a room and untick “public”: then only its members know of it."),
        (2, "Thank you!"),
    ),
}
