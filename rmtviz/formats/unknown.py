"""What a file is that we do not read, as far as its first bytes tell; people get the way out."""

import json
import re
from collections.abc import Iterable

from rmtviz.errors import FileRefused
from rmtviz.formats import zips
from rmtviz.formats.sources import Limits, Source, short

_HEAD = 4096
_JSON = 10_000_000

_SIGNS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (key, re.compile(pattern, re.DOTALL))
    for key, pattern in (
        (
            "is_html",
            rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?i:<(?:!doctype\s+html|html|head|body|!--))",
        ),
        ("is_xml", rb"(?:\xef\xbb\xbf)?\s*<\?xml"),
        ("is_checkpoint", rb'model_checkpoint_path: "'),
        ("is_lfs", rb"version https://git-lfs\.github\.com/spec/"),
        ("is_joblib", rb"\x80[\x02-\x05].{0,4000}joblib\.numpy_pickle|x[\x01\x5e\x9c\xda]"),
        (
            "is_compressed",
            rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|\x04\x22\x4d\x18",
        ),
        ("is_split", rb"PK\x07\x08"),
        ("is_pickle", rb"\x80[\x02-\x05]"),
        ("is_old_pickle", rb"[(]?c[a-z_][\w.]*\n\w+\n|[(][dli]p?[01]\n"),
        ("is_tar", rb".{257}ustar"),
        ("is_mat", rb"MATLAB [57]\.[0-9] MAT-file"),
        ("is_tflite", rb".{4}TFL3"),
        (
            "is_saved_model",
            rb"\x08\x01\x12.{0,4000}(?:stripped_op_list|tensorflow|serv(?:e|ing)|Placeholder)",
        ),
        ("is_engine", rb"[pf]trt[^ -~]"),
        ("is_msgpack", rb"(?:[\x81-\x8f]|\xde..|\xdf.{4})(?:[\xa1-\xbf]|\xd9.)[\w.]+"),
        ("is_ggml", rb"lmgg|fmgg|tjgg"),
        ("is_darknet", rb"\0{4}[\x01\x02]\0{3}[\0-\x05]\0{3}"),
        ("is_mxnet", rb"\x12\x01\0{6}"),
        ("is_table", rb"PAR1|ARROW1|SQLite format 3"),
        ("is_program", rb"\x7fELF|MZ[\x80\x90]\0|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe"),
        ("is_companion", rb"\0\x05\x16\x07|\0\0\0\x01Bud1|L\0\0\0\x01\x14\x02\0"),
        (
            "is_image",
            rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF|RIFF.{4}[AW]|II\*\0|MM\0\*|OggS|ID3[\x02-\x04]|fLaC|\0{3}.ftyp|\xd0\xcf\x11\xe0",
        ),
        ("is_zeros", rb"\0{16,}\Z"),
    )
)
"""What a file's first bytes say it is, the most telling first."""

_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("is_checkpoint", re.compile(r".*\.(data-\d+-of-\d+|ckpt(-\d+)?\.(meta|index))")),
    ("is_mat", re.compile(r".*\.mat")),
    ("is_coreml", re.compile(r".*\.mlmodel")),
)
"""What a file is by its name, where its bytes are as good as any."""

_SETTINGS = ("architectures", "model_type", "transformers_version")
"""What the configuration of a Hugging Face model says of itself."""

_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""How the index of a TensorFlow checkpoint ends."""


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
    for key, named in _NAMES:
        if named.fullmatch(source.name):
            return source.refuse(key)
    if source.length >= 8 and bytes(source.read(source.length - 8, 8)) == _TABLE_END:
        return source.refuse("is_checkpoint")
    text = _text(head)
    if text is None:
        return source.refuse("is_unknown", known=", ".join(known))
    return _json(source, text) or source.refuse("is_text", text=short(text.strip()))


def _archive(source: Source, names: list[str], known: Iterable[str]) -> FileRefused:
    held = ", ".join(short(name, 40) for name in names[:5]) + ", …" * (len(names) > 5)
    return source.refuse("is_zip", held=held or "–", known=", ".join(known))


def _json(source: Source, text: str) -> FileRefused | None:
    """Return the refusal of a JSON file, or None where the text, as it begins, is no JSON."""
    if source.length > _JSON or not text.lstrip("\ufeff\t\n\r ").startswith(("{", "[")):
        return None
    try:
        found = json.loads(bytes(source.read(0, source.length)))
    except (ValueError, RecursionError):
        return None
    entries = found if isinstance(found, dict) else {}
    shards = entries.get("weight_map")
    if not isinstance(shards, dict):
        return source.refuse("is_json" if entries.keys().isdisjoint(_SETTINGS) else "is_settings")
    files = sorted({short(file) for file in shards.values() if isinstance(file, str)})
    return source.refuse("is_index", count=len(files), first=files[0] if files else "–")


def _text(head: bytes) -> str | None:
    """Return the bytes as text if they are text; the last character may be cut in two."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "ignore").strip("\0") or None
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8")
    return text if text and all(sign.isprintable() or sign.isspace() for sign in text) else None
