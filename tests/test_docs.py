"""The documents tell the truth: their code runs, their commands exist, the tree is the tree.

A block with `<!-- not run: reason -->` on the line above it is left alone.
"""

import fnmatch
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from rmtviz.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "ARCHITECTURE.md")
READMES = ("README.md", "README.ja.md")
TREE = "rmtviz/"
"""The text block of ARCHITECTURE.md that has this entry is the tree."""


class Block(NamedTuple):
    """A fenced block: its language, the number of its first line of code, the code."""

    language: str
    line: int
    code: str


def blocks(text: str) -> Iterator[Block]:
    lines = text.split("\n")
    start: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        exempt = start > 0 and re.fullmatch(r"<!-- not run: .+ -->", lines[start - 1].strip())
        if not exempt:
            language = lines[start].removeprefix("```").strip()
            yield Block(language, start + 2, "\n".join(lines[start + 1 : number]))
        start = None


def read(document: str) -> str:
    path = ROOT / document
    assert path.is_file(), f"{document} is missing"
    return path.read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_blocks_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(read(document)):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code
            exec(compile(code, document, "exec"), namespace)


def commands(text: str) -> Iterator[list[str]]:
    """All commands of ours in the shell blocks, as words."""
    for block in blocks(text):
        if block.language in ("console", "bash", "sh"):
            for line in block.code.replace("\\\n", " ").split("\n"):
                if re.match(r"(\$ )?(\w+=\S* )*(rmtviz|make)\b", line):
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    yield list(itertools.dropwhile(lambda word: "=" in word, words))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str):
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    for program, *words in commands(read(document)):
        if program == "make":
            assert {word for word in words if "=" not in word} <= targets, words
            continue
        command: click.Command = main
        if words and not words[0].startswith("-"):
            assert words[0] in main.commands, f"there is no rmtviz {words[0]}"
            command = main.commands[words[0]]
        known = {"--help"}.union(*(option.opts for option in command.params))
        asked = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert asked <= known, words


def test_the_readmes_have_the_same_code_and_name_each_other_first():
    english, japanese = map(read, READMES)
    # Of a block that is not run, too.
    fences = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    assert fences.findall(japanese) == fences.findall(english)
    assert fences.findall(english)
    assert "(README.ja.md)" in english.split("\n")[2]
    assert "(README.md)" in japanese.split("\n")[2]


def targets(text: str) -> set[str]:
    """All that a document links to or shows."""
    return set(re.findall(r"\]\(([^)]+)\)", text)) - set(READMES)


def test_the_readmes_link_to_the_same_things():
    english, japanese = map(read, READMES)
    assert targets(japanese) == targets(english)


def tree(text: str) -> list[str]:
    """All paths of the tree: two spaces of indent a level, the name, two spaces, what it is."""
    for block in blocks(text):
        if block.language == "text" and re.search(f"^{TREE}", block.code, re.MULTILINE):
            break
    else:
        return []
    paths: list[str] = []
    folders: list[str] = []
    for line in block.code.split("\n"):
        if line.strip():
            depth = (len(line) - len(line.lstrip())) // 2
            name = re.split(r"\s{2,}", line.strip())[0]
            folders[depth:] = [name]
            paths.append("".join(folders))
    return paths


def ignored(path: Path) -> bool:
    patterns = ["__pycache__", "__init__.py", "py.typed", ".*"]
    patterns += [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
    empty = path.is_dir() and not any(path.iterdir())
    return empty or any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


def test_the_tree_is_the_tree():
    paths = tree(read("ARCHITECTURE.md"))
    assert paths, "ARCHITECTURE.md has no tree"
    gone = [path for path in paths if not (ROOT / path).exists()]
    assert not gone, f"in the tree only: {gone}"
    parents = {str(Path(path).parent) for path in paths}
    missing = [
        str(path.relative_to(ROOT))
        for parent in parents
        for path in (ROOT / parent).iterdir()
        if not ignored(path)
        if path.relative_to(ROOT).as_posix() + "/" * path.is_dir() not in paths
    ]
    assert not missing, f"not in the tree, beside others that are: {missing}"


def test_blocks_and_commands_are_found():
    text = (
        "```python\nx = 1\n```\n<!-- not run: slow -->\n```python\ny\n```\n"
        "```console\n$ A=1 rmtviz analyze m --json  # all\n3 layers\n```\n"
        "```text\nrmtviz/    the package\n  ui/  pages\n    a.py    one\napp.py\n```\n"
    )
    found = list(blocks(text))
    assert [block.language for block in found] == ["python", "console", "text"]
    assert (found[0].line, found[0].code) == (2, "x = 1")
    assert list(commands(text)) == [["rmtviz", "analyze", "m", "--json"]]
    assert tree(text) == ["rmtviz/", "rmtviz/ui/", "rmtviz/ui/a.py", "app.py"]


def test_no_two_decisions_have_one_number():
    numbers = [file.name[:4] for file in sorted((ROOT / "docs" / "decisions").glob("0*.md"))]
    assert numbers == [f"{i:04}" for i in range(1, len(numbers) + 1)]
