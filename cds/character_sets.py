"""HL7 v2 character sets: what MSH-18 and a sender's profile may name, and the codec that reads it."""

from __future__ import annotations

_ISO_8859 = (*range(1, 12), 13, 14, 15, 16)

#: HL7 table 0211 and what senders write instead, to Python's codecs by their own names (`codecs.lookup(name).name`).
CHARACTER_SETS = {
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in _ISO_8859},
    **{f"{name}8859-{part}": f"iso8859-{part}" for part in _ISO_8859 for name in ("", "ISO", "ISO-", "ISO ")},
    **{f"{name}{page}": f"cp{page}" for page in range(1250, 1259) for name in ("CP", "WINDOWS-")},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GBK": "gbk",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "BIG-5": "big5",
    "BIG5": "big5",
    "KS X 1001": "euc_kr",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_2",
}
