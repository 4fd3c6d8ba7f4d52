"""The heads of attention: which rows or columns of a projection's matrix are one head's.

How many heads there are, no tensor says: a network's settings do (`config.json` beside it), or a
person. Queries, keys and values have a block of rows for each head; the projection of their
outputs a block of columns. In `query_key_value` (GPT-NeoX, BLOOM) the rows alternate: those of a
head's query, its key, its value, then those of the next head.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUERY = re.compile(r"(^|[._])(q|query|q_lin|to_q|wq)(_proj)?$")
SHARED = re.compile(r"(^|[._])(k|v|key|value|k_lin|v_lin|to_k|to_v|wk|wv)(_proj)?$")
OUTPUT = re.compile(
    r"(^|[._])(o_proj|out_proj|out_lin|wo)$|(attn|attention)[._](output[._])?(c_proj|dense)$"
)
ALTERNATING = re.compile(r"(^|[._])query_key_value$")
"""Own names of projections, without ".weight"."""

COUNTS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
GROUPS = ("num_key_value_heads", "n_head_kv")
"""What settings call the number of heads, and of those that keys and values have."""

MOST = 10_000
"""More heads than this nobody has."""


@dataclass(frozen=True, slots=True)
class Heads:
    """How many heads there are, how many of keys and values, and whether each is seen alone."""

    count: int
    shared: int
    each: bool = False

    @classmethod
    def of(cls, record: object) -> "Heads | None":
        """Return what a record says ({"count", "shared", "each"}); None where it makes no sense."""
        if not isinstance(record, dict):
            return None
        counts: list[Any] = [record.get(key) for key in ("count", "shared")]
        if not all(type(x) is int and 0 < x < MOST for x in counts):
            return None
        count, shared = map(int, counts)
        return cls(count, shared, record.get("each") is True)

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> "Heads | None":
        """Return what a network's settings say."""
        count = next((settings[key] for key in COUNTS if key in settings), None)
        shared = next((settings[key] for key in GROUPS if settings.get(key)), count)
        return cls.of({"count": count, "shared": shared})


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a matrix: the `index`-th of `of` equal blocks of rows, or `across` of columns.

    With `groups` the rows come in so many equal groups, and it is that block of each.
    """

    label: str
    index: int
    of: int
    groups: int = 1
    across: bool = False


def blocks(name: str, shape: tuple[int, int], heads: Heads, fused: bool) -> list[Block]:
    """Return the parts of a projection's matrix (m × n); none where it is no projection.

    `fused` says that its rows are those of query, key and value, one below the other.
    """
    own, (rows, columns) = name.removesuffix(".weight").lower(), shape
    three = rows % (3 * heads.count) == 0 and heads.shared == heads.count
    if ALTERNATING.search(own):
        if rows != 3 * columns or not three:  # such as Falcon's, whose keys have fewer heads
            return []
        if not heads.each:
            return [Block(x, i, 3, groups=heads.count) for i, x in enumerate("qkv")]
        return _each(heads.count, lambda head, i: 3 * head + i)
    if fused and heads.each and three:
        return _each(heads.count, lambda head, i: i * heads.count + head)
    if not heads.each or fused:
        return []
    across = OUTPUT.search(own) is not None
    count = heads.shared if SHARED.search(own) else heads.count
    known = across or SHARED.search(own) or QUERY.search(own)
    if not known or (columns if across else rows) % count:
        return []
    return [Block(str(i), i, count, across=across) for i in range(count)]


def _each(count: int, place: Any) -> list[Block]:
    """Return query, key and value of every head, by the place of its block."""
    return [
        Block(f"{x}.{head}", place(head, i), 3 * count)
        for i, x in enumerate("qkv")
        for head in range(count)
    ]
