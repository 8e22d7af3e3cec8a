"""Write the page's table of emoji: `python docs/emoji_table.py compact.json`, the file of emojibase-data (en/).

Its groups, order and keywords; the names are those that the server replaces in texts (`chat/rendering/emoji.py`).
"""
# ruff: noqa: INP001 a script beside the pages, not a package

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emoji import EMOJI_DATA

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chat.rendering.emoji import emoji_known

TABLE = Path(__file__).resolve().parents[1] / "chat" / "static" / "chat" / "lib" / "emoji-table.js"
NAME = re.compile(r"[a-z0-9_+-]{2,50}")
# The groups of emojibase by their numbers; 2 are parts of emoji.
GROUPS = {
    "Smileys": 0,
    "People": 1,
    "Nature": 3,
    "Food": 4,
    "Travel": 5,
    "Activities": 6,
    "Objects": 7,
    "Symbols": 8,
    "Flags": 9,
}
TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
HEAD = """\
// Made by docs/emoji_table.py of emojibase-data 17.0.0 (MIT, see vendor/licenses/emojibase-data.txt). Do not edit.
// One string a group: `emoji names,keywords`, divided by `|`. A `^` after the emoji: it takes skin tones.
"""


def main(source: Path) -> None:
    """Write the table."""
    rows = [row for row in json.loads(source.read_text()) if "order" in row]
    rows.sort(key=lambda row: row["order"])
    groups = {name: "|".join(_entries(rows, number)) for name, number in GROUPS.items()}
    lines = [f"  {json.dumps([name, text], ensure_ascii=False)}," for name, text in groups.items()]
    TABLE.write_text(HEAD + "export const TABLE = [\n" + "\n".join(lines) + "\n];\n")


def _entries(rows: Sequence[Mapping[str, Any]], group: int) -> Iterator[str]:
    for row in rows:
        emoji = emoji_known(row["unicode"])
        if row.get("group") != group or emoji is None:
            continue
        data = EMOJI_DATA[emoji]
        names = [name.strip(":") for name in (*data.get("alias", ()), data["en"])]
        names = [name for name in dict.fromkeys(names) if NAME.fullmatch(name)]
        words = re.findall(r"\w+", " ".join((row["label"], *row.get("tags", ()))).lower())
        others = [word for word in dict.fromkeys(words) if word not in "_".join(names).split("_")]
        has_tones = all(emoji_known(_toned(emoji, tone)) for tone in TONES)
        yield f"{emoji}{'^' * has_tones} {' '.join(names or ['_'.join(words[:3])])},{' '.join(others)}"


def _toned(emoji: str, tone: str) -> str:
    return emoji[0] + tone + emoji[1:]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
