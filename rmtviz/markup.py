"""Words as HTML, escaped: tags, tables, and what a value shows of itself in a notebook."""

import html
from collections.abc import Iterable, Mapping, Sequence

from rmtviz.words import say

MOST = 60
"""So many rows of a table are shown in a notebook."""


def tag(name: str, text: str, kind: str = "") -> str:
    """Return an element that holds a text."""
    mark = f' class="{kind}"' if kind else ""
    return f"<{name}{mark}>{html.escape(text)}</{name}>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Return a table."""
    mark = f' class="{kind}"' if kind else ""
    head = "".join(tag("th", text) for text in heads)
    body = "".join("<tr>" + "".join(tag("td", text) for text in row) + "</tr>" for row in rows)
    return f"<table{mark}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shown(head: str, rows: Iterable[Mapping[str, str]] = (), note: str = "") -> str:
    """Return a sentence, a table whose columns are keys under `cli.column`, and a note."""
    lines = list(rows)
    parts = [tag("p", head)]
    if lines:
        heads = [say(f"cli.column.{key}") for key in lines[0]]
        parts.append(table(heads, [list(line.values()) for line in lines[:MOST]]))
    if len(lines) > MOST:
        parts.append(tag("p", say("notebook.more", count=len(lines) - MOST)))
    if note:
        parts.append(tag("p", note))
    return f"<div>{''.join(parts)}</div>"
