"""The heads of attention: which rows or columns of a projection's matrix are one head's.

How many heads there are, no tensor says: a network's settings do (`config.json` beside it), or a
person. Queries, keys and values have a block of rows for each head; the projection of their
outputs a block of columns. In `query_key_value` (GPT-NeoX, BLOOM) the rows alternate: those of a
head's query, its key, its value, then those of the next head.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

QUERY = re.compile(r"(^|[._])(q|query|q_lin|to_q|wq)(_proj)?$")
SHARED = re.compile(r"(^|[._])(k|v|key|value|k_lin|v_lin|to_k|to_v|wk|wv)(_proj)?$")
OUTPUT = re.compile(
    r"(^|[._])(o_proj|out_proj|out_lin|wo)$|(attn|attention)[._](output[._])?(c_proj|dense)$|"
    r"(^|[._])attention_output$"
)
ALTERNATING = re.compile(r"(^|[._])query_key_value$")
"""Own names of projections, without ".weight"."""

COUNTS = (
    *("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"),
    "heads",  # our own networks' recipe
)
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
    def recorded(cls, about: Mapping[str, Any]) -> "Heads | None":
        """Return what a checkpoint's own record says, be it how the network was trained."""
        trained = about.get("trained")
        known = cls.of(about.get("heads"))
        return known or (cls.of_settings(trained) if isinstance(trained, dict) else None)

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


def role(name: str, names: Container[str], fused: bool) -> str | None:
    """Return what a matrix is to attention; None: no projection that heads share.

    "alternating" and "fused" are queries, keys and values in one, "query" and "shared" (keys,
    values) one of them, "output" is their outputs' projection. `fused` says that its rows are
    those of query, key and value, one below the other; `names` are those of all tensors: a layer
    called `output` is known by the `query` beside it.
    """
    own = name.removesuffix(".weight").lower()
    if ALTERNATING.search(own):
        return "alternating"
    if fused:
        return "fused"
    end = ".output.weight"
    beside = name.endswith(end) and f"{name.removesuffix(end)}.query.weight" in names
    if beside or OUTPUT.search(own):
        return "output"
    return "shared" if SHARED.search(own) else "query" if QUERY.search(own) else None


def side(role: str, shape: tuple[int, int], heads: Heads) -> tuple[int, int] | None:
    """Return the side of a projection's matrix (m × n) that heads share, and how many they are.

    Of queries, keys and values in one tensor, the side of each. None where they cannot be told
    apart: keys and values with fewer heads in one tensor with the queries.
    """
    rows, columns = shape
    if role in ("alternating", "fused"):
        equal = rows == 3 * columns  # not so in Falcon, whose keys have fewer heads
        free = role == "fused" and heads.shared == heads.count
        return (rows // 3, heads.count) if equal or free else None
    return columns if role == "output" else rows, heads.shared if role == "shared" else heads.count


def blocks(role: str, shape: tuple[int, int], heads: Heads) -> list[Block]:
    """Return the parts of a projection's matrix (m × n): its heads, or what else it is made of.

    There are none where it stays whole, as where its side is no multiple of their number.
    """
    shared = side(role, shape, heads)
    if shared is None or shared[0] % shared[1]:
        return []
    if role == "alternating" and not heads.each:
        return [Block(x, i, 3, groups=heads.count) for i, x in enumerate("qkv")]
    if not heads.each:
        return []
    if role == "alternating":
        return _each(heads.count, lambda head, i: 3 * head + i)
    if role == "fused":
        return _each(heads.count, lambda head, i: i * heads.count + head)
    return [Block(str(i), i, shared[1], across=role == "output") for i in range(shared[1])]


def _each(count: int, place: Any) -> list[Block]:
    """Return query, key and value of every head, by the place of its block."""
    return [
        Block(f"{x}.{head}", place(head, i), 3 * count)
        for i, x in enumerate("qkv")
        for head in range(count)
    ]
