"""Characters that look like ASCII: the part of Unicode's confusables table with ASCII results.

Generated from confusables.txt of Unicode 15.0 (UTS #39, https://www.unicode.org/reports/tr39/) with the
skeletons of ICU 72. It has each character that NFKC and case folding do not change and whose skeleton is
ASCII. ASCII characters are never replaced: "rn" is not "m", and "1" is not "l". Copyright Unicode, Inc.;
https://www.unicode.org/license.txt.
"""

from collections.abc import Mapping

# By ASCII character or text, in lower case: the characters that look like it.
_LOOKALIKES: Mapping[str, str] = {
    "!": "\u01c3\u2d51",
    "&": "\ua778",
    "'": (
        "\u02b9\u02bb\u02bc\u02bd\u02be\u02c8\u02ca\u02cb\u02f4\u055a\u055d\u05d9\u05f3\u07f4\u07f5"
        "\u144a\u16cc\u2018\u2019\u201b\u2032\u2035\ua78c\U00016f51\U00016f52"
    ),
    "''": "\u02ba\u02ee\u02f6\u05f2\u05f4\u1cd3\u201c\u201d\u201f\u3003",
    "(": "\u2768\u2772\u3014\ufd3e",
    "((": "\u2e28",
    ")": "\u2769\u2773\u3015\ufd3f",
    "))": "\u2e29",
    "*": "\u066d\u204e\u2217\U0001031f",
    "+": "\u16ed\u2795\U0001029b",
    ",": "\u060d\u066b\u201a\ua4f9",
    "-": "\u02d7\u06d4\u2010\u2012\u2013\u2043\u2212\u2796",
    "-.": "\ua4fe",
    ".": "\u0660\u06f0\u0701\u0702\ua4f8\ua60e\U00010a50\U0001d16d",
    ".,": "\ua4fb",
    "..": "\ua4fa",
    "/": "\u1735\u2041\u2044\u2215\u2571\u27cb\u29f8\u3033\u30ce\u31d3\u4e3f\U0001d23a",
    "//": "\u2afd",
    "///": "\u2afb",
    "2": "\u14bf\ua6ef",
    "3": "\U000118ca\U00016f3b\U0001d206",
    "4": "\u13ce",
    "6": "\u0431\u13ee\U000118d5",
    "7": "\U000118c6\U0001d212",
    "8": "\u0223\u09ea\u0a6a\u0b03\U0001031a\U0001e8cb",
    "9": "\u09ed\u0a67\u0b68\u0d6d\U000118cc\U000118d6",
    ":": "\u02d0\u02f8\u0589\u05c3\u0703\u0704\u0903\u0a83\u16ec\u1803\u1809\u205a\u2236\ua4fd\ua789",
    "<": "\u02c2\u1438\u16b2\u2039\u276e\U0001d236",
    "<<": "\u226a",
    "<<<": "\u22d8",
    "=": "\u1400\u2e40\u30a0\ua4ff",
    ">": "\u02c3\u1433\u203a\u276f\U00016f3f\U0001d237",
    "><": "\u2aa5",
    ">>": "\u226b\u2a20",
    ">>>": "\u22d9",
    "?": "\u0294\u097d\u13ae\ua6eb",
    "\\": "\u2216\u27cd\u29f5\u29f9\u31d4\u4e36\U0001d20f\U0001d23b",
    "\\\\": "\u244a\u2cf9",
    "^": "\u02c4\u02c6",
    "_": "\u07fa",
    "a": "\u0251\u03b1\u0430\u13aa\u15c5\u237a\ua4ee\U000102a0\U00016f40",
    "aa": "\ua733",
    "ae": "\u00e6\u04d5",
    "ao": "\ua735",
    "ar": "\U0001f707",
    "au": "\ua737",
    "av": "\ua739\ua73b",
    "ay": "\ua73d",
    "b": "\u13cf\u13f4\u1472\u15af\u15f7\ua4d0\U00010282\U000102a1\U00010301",
    "b'": "\u1488",
    "c": (
        "\u0441\u13df\u1d04\u2ca5\ua4da\U000102a2\U00010302\U0001043d\U0001051c\U000118e9\U000118f2\U0001f74c"
    ),
    "d": "\u0501\u13a0\u13e7\u146f\u15de\u15ea\ua4d2\ua4d3",
    "d'": "\u1487",
    "dz": "\u02a3",
    "e": "\u0435\u04bd\u13ac\u212e\u22ff\u2d39\ua4f0\uab32\U00010286",
    "f": "\u0584\u15b4\u1e9d\ua4dd\ua799\uab35\U00010287\U000102a5\U00010525\U000118c2\U0001d213",
    "g": "\u018d\u0261\u0581\u13c0\u13f3\u1d83\ua4d6",
    "h": "\u04bb\u0570\u13bb\u13c2\u157c\ua4e7\U000102cf",
    "i": "\u0131\u0269\u026a\u03b9\u0456\u04cf\u13a5\u2373\ua647\U000118c3",
    "j": "\u03f3\u0458\u13ab\u148d\ua4d9",
    "k": "\u13e6\u16d5\ua4d7\U00010518",
    "l": (
        "\u01c0\u05c0\u05d5\u05df\u0627\u0661\u06f1\u07ca\u13de\u14aa\u16c1\u2223\u23fd\u2d4f\ua4e1"
        "\ua4f2\U0001028a\U00010309\U00010320\U00010526\U00016f16\U00016f28\U0001d22a\U0001e8c7"
    ),
    "l'": "\u05f1",
    "ll": "\u01c1\u05f0\u2016\u2225",
    "ls": "\u02aa",
    "lt": "\u20b6",
    "lz": "\u02ab",
    "m": "\u13b7\u15f0\u16d6\ua4df\U000102b0\U00010311\U00011700\U000118e3",
    "mb": "\U0001f76b",
    "n": "\u0578\u057c\ua4e0\U00010513",
    "o": (
        "\u03bf\u03c3\u043e\u0585\u05e1\u0647\u0665\u06be\u06c1\u06d5\u06f5\u07c0\u0966\u09e6\u0a66"
        "\u0ae6\u0b20\u0b66\u0be6\u0c02\u0c66\u0c82\u0ce6\u0d02\u0d20\u0d66\u0d82\u0e50\u0ed0\u101d"
        "\u1040\u10ff\u12d0\u1d0f\u1d11\u2c9f\u2d54\u3007\ua4f3\uab3d\U00010292\U000102ab\U0001042c"
        "\U000104ea\U00010516\U000114d0\U000118c8\U000118d7\U000118e0"
    ),
    "o'": "\u13a4",
    "oe": "\u0153",
    "oo": "\u221e\ua699\ua74f",
    "p": "\u03c1\u0440\u13e2\u146d\u2374\u2ca3\ua4d1\U00010295",
    "p'": "\u1486",
    "q": "\u051b\u0563\u0566\u2d55",
    "qe": "\U0001f700",
    "r": "\u0433\u13a1\u13d2\u1587\u1d26\u2c85\ua4e3\uab47\uab48\U00016f35\U0001d216",
    "r'": "\u0491",
    "s": "\u01bd\u0455\u13d5\u13da\ua4e2\ua731\U00010296\U00010448\U000118c1\U00016f3a",
    "sss": "\U0001f75c",
    "t": "\u13a2\u22a4\u27d9\ua4d4\U00010297\U000102b1\U00010315\U00016f0a\U0001f768",
    "tf": "\ua777",
    "ts": "\u02a6",
    "u": (
        "\u028b\u03c5\u057d\u1200\u144c\u1d1c\u222a\u22c3\ua4f4\ua79f\uab4e\uab52\U000104f6\U000118d8"
        "\U00016f42"
    ),
    "u'": "\u1467",
    "ue": "\u1d6b",
    "uo": "\uab63",
    "v": (
        "\u03bd\u0475\u05d8\u0667\u06f7\u13d9\u142f\u1d20\u2228\u22c1\u2d38\ua4e6\ua6df\U0001051d"
        "\U00011706\U000118c0\U00016f08\U0001d20d"
    ),
    "vb": "\U0001f76c",
    "w": (
        "\u026f\u0461\u051d\u0561\u13b3\u13d4\u1d21\ua4ea\U0001170a\U0001170e\U0001170f\U000118e6\U000118ef"
    ),
    "x": (
        "\u00d7\u0445\u1541\u157d\u166d\u166e\u16b7\u2573\u292b\u292c\u2a2f\u2d5d\ua4eb\U00010290"
        "\U000102b4\U00010317\U00010322\U00010527\U000118ec"
    ),
    "y": (
        "\u0263\u028f\u03b3\u0443\u04af\u10e7\u13a9\u13bd\u1d8c\u1eff\ua4ec\uab5a\U000102b2\U000118dc"
        "\U00016f43"
    ),
    "z": "\u13c3\u1d22\ua4dc\U000102f5\U000118c4\U000118e5",
    "{": "\u2774\U0001d114",
    "}": "\u2775",
    "~": "\u2053\u223c",
}

# For `str.translate`.
ASCII_OF_LOOKALIKE: Mapping[int, str] = {
    ord(char): ascii_text for ascii_text, chars in _LOOKALIKES.items() for char in chars
}
