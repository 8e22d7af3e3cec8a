"""The data of seed_demo: the tenants, their users, and their items."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Shop:
    """One demo tenant."""

    slug: str
    name: str
    host: str
    members: tuple[str, ...]
    items: dict[str, dict[str, Decimal]]


def _priced(first: str, *names: str) -> dict[str, Decimal]:
    base = Decimal(first)
    return {name: base + Decimal("1.50") * position for position, name in enumerate(names)}


PASSWORD = "rockstar"  # noqa: S105 the demo's, printed on purpose
ADMIN = "admin"

ACME = Shop(
    slug="acme",
    name="Acme",
    host="acme.localhost",
    members=("alice", "bob"),
    items={
        "books": _priced(
            "9.90",
            "A Field Guide to Anvils",
            "Baking with Rockets",
            "Coyotes I Have Known",
            "Desert Roads at Dawn",
            "Everyday Catapults",
            "Falling, and Other Hobbies",
            "Gravity for Beginners",
            "How to Read a Warranty",
            "Iron Birds",
            "Jet Skates, a Memoir",
            "Knots for Every Cliff",
            "Letters from the Mesa",
        ),
        "games": _priced(
            "14.90",
            "Anvil Drop",
            "Boulder Dash Derby",
            "Canyon Chess",
            "Detour",
            "Explosive Tiles",
            "Fuse and Run",
            "Giant Magnet",
            "Hidden Tunnel",
            "Instant Holes",
            "Jumping Cactus",
            "Kite Over Cliff",
            "Long Way Down",
        ),
    },
)

GLOBEX = Shop(
    slug="globex",
    name="Globex",
    host="globex.localhost",
    members=("carol", "dave"),
    items={
        "books": _priced(
            "11.90",
            "Aluminium and Its Friends",
            "Beyond the Hammock District",
            "Company Picnics of the World",
            "Doomsday, Step by Step",
            "Earth from a Low Orbit",
            "Fair Dealing",
            "Great Lairs and Their Gardens",
            "Holding the East Coast",
            "Island Architecture",
            "Jackets Without Sleeves",
            "Keeping Good People",
            "Lasers at Home",
        ),
        "games": _priced(
            "17.90",
            "Atoll Auction",
            "Borders of Glass",
            "Cypress Creek",
            "Deep Sea Poker",
            "Embargo",
            "Flood Gate",
            "Globe Trot",
            "Harbour Master",
            "Ice Cap Ludo",
            "Junta Junction",
            "Kings of the Canal",
            "Last Reactor",
        ),
    },
)

SHOPS = (ACME, GLOBEX)
