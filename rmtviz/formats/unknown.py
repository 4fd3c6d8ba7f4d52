"""What a file is that we do not read, as far as its first bytes tell; people get the way out."""

import json
import re
from collections.abc import Iterable

from rmtviz.errors import FileRefused
from rmtviz.formats import zips
from rmtviz.formats.base import Limits, Source, short

_HEAD = 4096
_JSON = 10_000_000

_SIGNS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (key, re.compile(pattern, re.DOTALL | re.IGNORECASE))
    for key, pattern in (
        ("is_html", rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|\?xml|!--)"),
        ("is_lfs", rb"version https://git-lfs\.github\.com/spec/"),
        ("is_compressed", rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!"),
        ("is_pickle", rb"\x80[\x02-\x05]"),
        ("is_tar", rb".{257}ustar"),
        ("is_image", rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF"),
    )
)
"""What a file's first bytes say it is, the most telling first."""


def refusal(source: Source, limits: Limits, known: Iterable[str]) -> FileRefused:
    """Return the refusal of a file that no reader knows, as specific as its content allows."""
    if source.length == 0:
        return source.refuse("is_empty")
    entries = zips.entries(source, limits)
    if entries is not None:
        return _archive(source, list(entries), known)
    head = source.head(_HEAD)
    for key, pattern in _SIGNS:
        if pattern.match(head):
            return source.refuse(key)
    text = _text(head)
    if text is None:
        return source.refuse("is_unknown", known=", ".join(known))
    return _json(source) or source.refuse("is_text", text=short(text.strip()))


def _archive(source: Source, names: list[str], known: Iterable[str]) -> FileRefused:
    held = ", ".join(short(name, 40) for name in names[:5]) + ", …" * (len(names) > 5)
    return source.refuse("is_zip", held=held or "–", known=", ".join(known))


def _json(source: Source) -> FileRefused | None:
    """Return the refusal of a JSON file, or None where the text is no JSON."""
    if source.length > _JSON or source.head(1) not in (b"{", b"["):
        return None
    try:
        found = json.loads(bytes(source.read(0, source.length)))
    except (ValueError, RecursionError):
        return None
    shards = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(shards, dict):
        return source.refuse("is_json")
    files = sorted({short(file) for file in shards.values() if isinstance(file, str)})
    return source.refuse("is_index", count=len(files), first=files[0] if files else "–")


def _text(head: bytes) -> str | None:
    """Return the bytes as text if they are text; the last character may be cut in two."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8")
    return text if text and all(sign.isprintable() or sign.isspace() for sign in text) else None
