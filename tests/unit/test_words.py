"""Every sentence that the program asks for is in the catalogue, with the values it needs."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rmtviz import errors, knobs
from rmtviz.errors import RmtvizError
from rmtviz.fits import METHODS, Law, Status
from rmtviz.words import LANGUAGES, ask, catalogue, language, say, speaking

ROOT = Path(__file__).parents[2]
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
REFUSES = ERRORS | {"refuse"}


class Call(NamedTuple):
    """One call that names a sentence: patterns its key may have, and the values it gives."""

    where: str
    keys: tuple[str, ...]
    values: frozenset[str] | None
    error: bool


def patterns(node: ast.expr) -> tuple[str, ...]:
    """Regular expressions for the keys that an expression may be; none where it is a variable."""
    match node:
        case ast.Constant(value=str(text)):
            return (re.escape(text),)
        case ast.IfExp(body=body, orelse=orelse):
            return patterns(body) + patterns(orelse)
        case ast.JoinedStr(values=parts):
            found = [""]
            for part in parts:
                inner = part.value if isinstance(part, ast.FormattedValue) else part
                words = patterns(inner) or (r"[\w-]+",)
                found = [text + word for text in found for word in words]
            return tuple(found)
    return ()


def calls_in(source: str, path: str) -> Iterator[Call]:
    """The calls of `say`, of the errors and of `refuse` in a source."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in ("say", "partly") and name not in REFUSES:
            continue
        keywords = [each.arg for each in node.keywords]
        if len(node.args) > 1 or isinstance(node.args[0], ast.Starred):
            continue
        open_ = None in keywords or name == "partly"
        given = None if open_ else frozenset(map(str, keywords))
        if given is not None and name == "refuse":
            given |= {"source"}
        yield Call(f"{path}:{node.lineno}", patterns(node.args[0]), given, name in REFUSES)


def all_calls() -> list[Call]:
    files = [ROOT / "app.py", *sorted((ROOT / "rmtviz").rglob("*.py"))]
    return [
        call
        for path in files
        for call in calls_in(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]


def complaints(calls: list[Call], sentences: dict[str, str]) -> Iterator[str]:
    """What is wrong: no sentence of that key, or a field without a value."""
    for call in calls:
        for key in call.keys:
            wanted = [f"error\\.{key}\\.{end}" for end in ("what", "do")] if call.error else [key]
            for pattern in wanted:
                found = [name for name in sentences if re.fullmatch(pattern, name)]
                if not found:
                    yield f"{call.where}: no sentence {pattern}"
                for name in found if call.values is not None and len(found) == 1 else ():
                    lacking = fields(sentences[name]) - call.values
                    if lacking:
                        yield f"{call.where}: {name} lacks {sorted(lacking)}"


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def forms(sentence: str) -> set[tuple[str, str]]:
    """The kinds of number that a sentence's fields are written as, such as ("share", "%")."""
    parts = [part for part in string.Formatter().parse(sentence) if part[1] is not None]
    return {(str(name), (form or "s")[-1]) for _, name, form, _ in parts}


def test_every_key_in_the_source_has_its_sentence_and_its_values() -> None:
    calls = all_calls()
    assert sum(bool(call.keys) for call in calls) > 100
    assert list(complaints(calls, dict(catalogue()))) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("say('cli.nothing')", "no sentence"),
        ("say(f'nothing.{x}')", "no sentence"),
        ("say('cli.epoch' if x else 'nothing', **row)", "no sentence"),
        ("say('error.unknown_name.what', nome=1)", "lacks"),
        ("BadOption('unknown_name', name='x')", "lacks"),
        ("BadOption('nothing')", "no sentence"),
        ("raise source.refuse('nothing')", "no sentence"),
        ("say('error.unknown_name.what', name='x')", None),
        ("BadOption('unknown_name', name='x', known='y')", None),
        ("say(f'status.{x}', p=1, rank=2)", None),
    ],
)
def test_the_scan_sees_what_it_should(source: str, complaint: str | None) -> None:
    found = list(complaints(list(calls_in(source, "x.py")), dict(catalogue())))
    assert bool(found) == bool(complaint)
    assert complaint is None or complaint in found[0]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_every_sentence_with_its_fields(code: str) -> None:
    english, other = catalogue("en"), catalogue(code)
    assert set(english) ^ set(other) == set()
    assert [key for key in english if fields(english[key]) != fields(other[key])] == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_fills_its_fields_alike(code: str) -> None:
    """The same field is a number with the same form, so that no translation breaks a page."""
    for key, sentence in catalogue("en").items():
        assert forms(catalogue(code)[key]) == forms(sentence), key


def test_the_language_is_asked_for_and_may_be_set_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rmtviz.words.LANGUAGES", {"en": "", "xx": ""})
    monkeypatch.setattr("rmtviz.words._asked", lambda: None)
    assert language() == "en"
    with speaking("xx"):
        assert language() == "xx"
    ask(lambda: "xx")
    assert language() == "xx"
    ask(lambda: "klingon")
    assert language() == "en"


def test_every_error_says_what_and_what_to_do() -> None:
    keys = [name.split(".") for name in catalogue() if name.startswith("error.")]
    names = {key[1] for key in keys}
    assert sorted(map(".".join, keys)) == sorted(
        f"error.{name}.{end}" for name in names for end in ("what", "do")
    )
    assert len(names) > 20
    for name in names:
        for end in ("what", "do"):
            sentence = catalogue()[f"error.{name}.{end}"]
            assert sentence.strip() == sentence != ""
            assert "\n" not in sentence


def test_an_error_is_two_lines_and_knows_its_key() -> None:
    error = errors.BadOption("unknown_name", name="x", known="a, b")
    assert isinstance(error, RmtvizError)
    assert (error.key, error.values) == ("unknown_name", {"name": "x", "known": "a, b"})
    assert str(error) == f"{error.what}\n{error.do}"
    assert "x" in error.what
    assert "a, b" in error.do


def test_a_missing_sentence_or_value_is_a_fault_of_the_program() -> None:
    with pytest.raises(KeyError):
        say("no.such.key")
    with pytest.raises(KeyError):
        say("error.unknown_name.what")


@pytest.mark.parametrize("status", Status)
def test_every_status_has_its_sentences(status: Status) -> None:
    assert say(f"status.{status}", p=19, rank=3)
    advice = catalogue()[f"advice.{status}"]
    assert bool(advice) == (status is not Status.OK)


@pytest.mark.parametrize("law", Law)
def test_every_judgement_has_its_words(law: Law) -> None:
    assert say(f"law.{law}", ks=0.123, band=0.01)
    assert say(f"cli.word.{law}")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_and_knob_has_its_words(name: str) -> None:
    for key in ("title", "help", *knobs.values(METHODS[name]())):
        assert say(f"choice.{name}.{key}")


def test_every_reason_for_skipping_has_its_words() -> None:
    reasons = set()
    for path in (ROOT / "rmtviz").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("Skipped"), args=[_, _, _, ast.Constant(value=str(x))]):
                    reasons.add(x)
                case ast.Call(func=ast.Name("Leaf"), args=[_, ast.Constant(value=str(x))]):
                    reasons.add(x)
                case ast.AnnAssign(target=ast.Name("reason"), value=ast.Constant(value=str(x))):
                    reasons.add(x)
                case ast.FunctionDef(name="_reason"):
                    reasons |= {
                        x.value
                        for each in ast.walk(node)
                        if isinstance(each, ast.Return) and each.value
                        for x in ast.walk(each.value)
                        if isinstance(x, ast.Constant) and isinstance(x.value, str)
                        if x.value.isidentifier()
                    }
    assert {"bias", "buffer", "depthwise", "not_finite", "embedding"} <= reasons
    assert sorted(x for x in reasons if not catalogue().get(f"skipped.{x}")) == []


def test_every_sentence_is_well_formed() -> None:
    for key, sentence in catalogue().items():
        assert sentence.strip() == sentence or key == "cli.skipped_line", key
        assert all(name.isidentifier() for name in fields(sentence)), key


def test_no_sentence_is_left_over() -> None:
    files = [ROOT / "app.py", *(ROOT / "rmtviz").rglob("*.py")]
    source = "".join(path.read_text("utf-8") for path in files)
    calls = all_calls()
    used = {True: set(), False: set()}
    for call in calls:
        used[call.error] |= set(call.keys)
    left = []
    for name in catalogue():
        error = name.startswith("error.")
        key = name.split(".")[1] if error else name
        asked = any(re.fullmatch(pattern, key) for pattern in used[error])
        if not (asked or f'"{key}"' in source):
            left.append(name)
    assert left == []
