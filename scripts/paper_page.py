"""Write docs/paper.md: what of the paper could be reproduced, from benchmarks/paper/results.

Every figure on the page comes from a committed result; a table whose script has not been run is
listed as not run. The sentences between the tables are kept in docs/paper.toml.
"""

import json
import statistics
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmtviz.lab import Line, Result, table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "paper" / "results"
PAGE, WORDS = ROOT / "docs" / "paper.md", ROOT / "docs" / "paper.toml"

LAYERS = {"0": "first layer", "2": "second layer"}
CUT = {
    "edge": "cut at the edge",
    "threshold": "cut at the optimal threshold",
    "shrunk": "shrunk",
    "rank 10": "cut to rank 10",
    "rank 30": "cut to rank 30",
}

Rows = Sequence[Mapping[str, Any]]


def main() -> None:
    """Write the page."""
    PAGE.write_text("\n".join(page(tomllib.loads(WORDS.read_text("utf-8")))) + "\n", "utf-8")


def page(words: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page's lines."""
    yield f"# {words['title']}\n"
    yield words["about"].strip() + "\n"
    for section in words["section"]:
        files = [RESULTS / f"{name}.json" for name in section["result"].split()]
        records = [json.loads(file.read_text("utf-8")) for file in files if file.is_file()]
        if not records:
            continue
        record, *_ = records
        yield f"## {section['title']}\n"
        yield f"**Claim.** {section['claim'].strip()}\n"
        yield from TABLES[section["table"]](
            [{"noise": each.get("noise"), **row} for each in records for row in each["rows"]]
        )
        yield f"\n**Verdict.** {section['verdict'].strip()}\n"
        versions = ", ".join(f"{name} {which}" for name, which in record["versions"].items())
        yield f"`benchmarks/paper/{section['script']}`; {versions}.\n"
    yield "## Not run\n"
    yield words["not_run"].strip()


def ranks(rows: Rows) -> Iterator[str]:
    """Yield example 4.1: the spectrum, and accuracy by rank."""
    (found,) = [row for row in rows if "predicted_rank" in row]
    end = [row for row in rows if "epoch" in row][-1]
    yield "| | ours | the paper's notebook |\n|---|---|---|"
    yield f"| test accuracy after {end['epoch']} epochs | {end['test_accuracy']:.2%} | 98.29 % |"
    yield f"| predicted rank of the first layer | {found['predicted_rank']} | 56 |"
    yield f"| distance to the law, middle half | {found['distance_middle']:.4f} | 0.0102 |"
    yield f"| distance to the law, whole bulk | {found['distance']:.4f} | – |"
    yield f"| distance of the last layer, middle half | {found['last_distance_middle']:.2f} | 0.7 |"
    yield f"| σ √784 of the bulk (at the start) | {found['sigma']:.3f} (0.577) | – |"
    yield f"| share of ‖W‖² above the edge | {found['energy_above']:.0%} | – |\n"
    yield "Before training the middle halves lie from the law: " + "; ".join(
        "{} × {} {:.4f}".format(*row["untrained"], row["distance"])
        for row in rows
        if "untrained" in row
    )
    yield ""
    cuts = [row for row in rows if row.get("way") == "plain"]
    yield "| rank kept | " + " | ".join(str(row["rank"]) for row in cuts) + " |"
    yield "|---" * (len(cuts) + 1) + "|"
    yield "| test % | " + " | ".join(f"{100 * row['test_accuracy']:.2f}" for row in cuts) + " |"


def ways(rows: Rows) -> Iterator[str]:
    """Yield the same layer cut in other ways: in other directions, entry by entry, shrunk."""
    found = [row for row in rows if "way" in row]
    score = {(row["way"], row["rank"]): 100 * row["test_accuracy"] for row in found}
    few = sorted({row["rank"] for row in found if row["way"] == "whitened"})
    yield "| directions | " + " | ".join(f"rank {rank}" for rank in few) + " |"
    yield "|---" * (len(few) + 1) + "|"
    for way in dict.fromkeys(row["way"] for row in found):
        yield f"| {way} | " + " | ".join(f"{score[way, rank]:.2f}" for rank in few) + " |"
    yield ""
    others = {
        f"the largest {row['entries']:.0%} of entries"
        if "entries" in row
        else f"shrunk, {row['shrunk']} norm": row["test_accuracy"]
        for row in rows
        if "entries" in row or "shrunk" in row
    }
    yield "| " + " | ".join(others) + " |"
    yield "|---" * len(others) + "|"
    yield "| " + " | ".join(f"{100 * accuracy:.2f}" for accuracy in others.values()) + " |"


def memorised(rows: Rows) -> Iterator[str]:
    """Yield what stands above the edge with right labels and wrong ones, and what cutting does."""
    settings: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        settings.setdefault((row["dataset"], row["noise"]), []).append(row)
    yield "| | " + " | ".join(f"{data}, {noise:.0%} re-drawn" for data, noise in settings) + " |"
    yield "|---" * (len(settings) + 1) + "|"

    def line(title: str, form: str, value: Callable[[Mapping[str, Any]], float | None]) -> str:
        cells = []
        for found in settings.values():
            known = [x for x in map(value, found) if x is not None]
            low, high = format(min(known), form), format(max(known), form)
            cells.append(low if low == high else f"{low} to {high}")
        return f"| {title} | " + " | ".join(cells) + " |"

    yield line("labels learned, %", ".1f", lambda row: 100 * row["train_accuracy"])
    for layer, title in LAYERS.items():
        yield line(f"above the edge, {title}", "d", lambda row, at=layer: row["spikes"][at])
        yield line(f"distance, {title}", ".3f", lambda row, at=layer: row["distance"][at])
    yield line("test % at the end", ".1f", lambda row: 100 * row["test_accuracy"])
    yield line(
        "points gained at the best epoch",
        "+.1f",
        lambda row: 100 * (row["best_test_accuracy"] - row["test_accuracy"]),
    )
    for cut in rows[0]["cut"]:
        for layer, title in {**LAYERS, "both": "both layers"}.items():
            yield line(
                f"points gained, {title} {CUT[cut]}",
                "+.1f",
                lambda row, cut=cut, at=layer: 100 * (row["cut"][cut][at] - row["test_accuracy"]),
            )


def cuts(rows: Rows) -> Iterator[str]:
    """Yield the runs that are cut once, mean and range over the seeds."""
    yield "| training | run | seeds | test % (range) | parameters % | spectra's share of the time |"
    yield "|---|---|---|---|---|---|"
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["train_samples"], row["run"]), []).append(row)
    for (samples, run), found in groups.items():
        scores = [100 * row["test_accuracy"] for row in found]
        share = statistics.fmean(row["share"] for row in found)
        time = statistics.fmean(row["spectra_share"] for row in found)
        yield (
            f"| {samples:,} images, {found[0]['rate']} rate | {run} | {len(found)} "
            f"| {statistics.fmean(scores):.2f} ({min(scores):.2f}–{max(scores):.2f}) "
            f"| {share:.1%} | {time:.1%} |"
        )


def contenders(rows: Rows) -> Iterator[str]:
    """Yield the table of the lab."""
    lines = table(_results(rows))
    yield "| contender | seeds | test % ± sd | gain over none ± sd | train % | parameters |"
    yield "|---|---|---|---|---|---|"
    for line in lines:
        spread, gained = (
            "" if each is None else f" ± {100 * each:.1f}"
            for each in (line.spread, line.gain_spread)
        )
        yield (
            f"| {line.contender} | {line.seeds} | {100 * line.test_accuracy:.1f}{spread} "
            f"| {100 * line.gain:+.1f}{gained} | {100 * line.train_accuracy:.1f} "
            f"| {line.parameters:,.0f} |"
        )
    chosen = [f"{row['chosen']}" for row in rows if row["contender"] == "rmt-chosen"]
    yield "\nWhat the selection set chose for rmt-chosen: " + "; ".join(chosen) + "."


def shares(rows: Rows) -> Iterator[str]:
    """Yield each contender's gain, by the share of labels that is re-drawn."""
    tables: dict[float, list[Line]] = {
        noise: table(_results([row for row in rows if row["noise"] == noise]))
        for noise in sorted({row["noise"] for row in rows})
    }
    names = [line.contender for line in next(iter(tables.values()))]
    yield "| re-drawn | seeds | none, test % | " + " | ".join(names[1:]) + " |"
    yield "|---" * (len(names) + 2) + "|"
    for noise, (first, *others) in tables.items():
        gains = (
            f"{100 * line.gain:+.1f}"
            + ("" if line.gain_spread is None else f" ± {100 * line.gain_spread:.1f}")
            for line in others
        )
        yield (
            f"| {noise:.0%} | {first.seeds} | {100 * first.test_accuracy:.1f} | "
            + " | ".join(gains)
            + " |"
        )


def _results(rows: Rows) -> list[Result]:
    """Return the lab's results, without the noise that the page adds to each."""
    return [Result(**{k: v for k, v in row.items() if k != "noise"}) for row in rows]


def classes(rows: Rows) -> Iterator[str]:
    """Yield accuracy and classes that are ever predicted, by logits and cut."""
    yield "| table | logits | cut | seed | test % by epoch | classes predicted at the end |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        scores = " ".join(f"{100 * x:.1f}" for x in row["test_accuracy"])
        yield (
            f"| {row['table']} | {row['logits']} | {row['cut'] or 'none'} | {row['seed']} "
            f"| {scores} | {row['classes_predicted'][-1]} |"
        )


def published(rows: Rows) -> Iterator[str]:
    """Yield the published topologies, reduced."""
    yield "| example | logits | cut after epochs | test % | classes predicted | parameters kept |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        where = ", ".join(map(str, row["cuts"])) or "none"
        score = 100 * row["test_accuracy"][-1]
        yield (
            f"| {row['example']} | {row['logits']} | {where} | {score:.1f} "
            f"| {row['classes_predicted'][-1]} | {row['share']:.1%} |"
        )


def fashion(rows: Rows) -> Iterator[str]:
    """Yield the follow-up's table, reduced."""
    yield "| logits | cuts | L2 | train % | test % | classes predicted | parameters |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['logits']} | {'yes' if row['cut'] else 'no'} | {row['weight_decay']:g} "
            f"| {100 * row['train_accuracy']:.1f} | {100 * row['test_accuracy']:.1f} "
            f"| {row['classes_predicted']} | {row['parameters']:,} |"
        )


TABLES: Mapping[str, Callable[[Rows], Iterator[str]]] = {
    "ranks": ranks,
    "ways": ways,
    "memorised": memorised,
    "cuts": cuts,
    "contenders": contenders,
    "shares": shares,
    "classes": classes,
    "published": published,
    "fashion": fashion,
}
"""How each kind of result is drawn, by the name that docs/paper.toml gives."""


if __name__ == "__main__":
    main()
