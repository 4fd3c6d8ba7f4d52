"""`rmtviz analyze`: a table or JSON on stdout, refusals as two lines on stderr and exit code 2."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner, Result

import rmtviz
from rmtviz import verdict
from rmtviz.cli import main, parse
from rmtviz.cli.show import columns, progress, width
from rmtviz.errors import BadOption
from rmtviz.fits import BEMA, METHODS, KritchmanNadler
from rmtviz.rules import RULES
from rmtviz.version import __version__
from rmtviz.words import say, speaking

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two layers with spikes, one too small, and tensors that are no layers."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(50, 90)), rng.normal(size=(40, 50))
    first[:3] += 2.0
    second[[0, 1], [0, 1]] += 50.0
    path = tmp_path_factory.mktemp("cli") / "weights.safetensors"
    arrays = {
        "net.0.weight": first.astype(np.float32),
        "net.0.bias": np.zeros(50, np.float32),
        "net.2.weight": second.astype(np.float16),
        "net.4.weight": rng.normal(size=(10, 40)).astype(np.float32),
        "dw.weight": np.zeros((4, 1, 5, 5), np.float32),
    }
    safetensors.numpy.save_file(arrays, path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def record(*arguments: object) -> dict:
    """The JSON of a run; NaN and infinity are not JSON."""
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(result.stdout, parse_constant=refuse)


def test_estimated_layers_are_marked(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "*" not in run(weights).stdout
    monkeypatch.setattr("rmtviz.decomposition.EXACT", 45)
    found = record(weights)["layers"]
    assert [row["estimated"] > 0 for row in found] == [True, False, False]
    assert found[0]["spikes"] is not None
    text = run(weights).stdout
    assert f"{found[0]['name']}*" in text
    assert text.count("*") == 2
    assert say("cli.estimated", error=found[0]["estimated"]) in text


@pytest.mark.parametrize("method", sorted(n for n in METHODS if METHODS[n].needs_matrix))
def test_a_method_that_needs_the_weights_is_not_run_on_an_estimated_layer(
    weights: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmtviz.decomposition.EXACT", 45)
    found = [row["status"] for row in record(weights, "--method", method)["layers"]]
    assert [status == "no_matrix" for status in found] == [True, False, False]


def test_a_cache_changes_nothing_but_the_time(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMTVIZ_HOME", str(tmp_path))
    plain = record(weights)
    assert not list(tmp_path.iterdir())
    assert record(weights, "--cache") == plain

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("decomposed again")

    monkeypatch.setattr("rmtviz.cache.decompose", never)
    assert record(weights, "--cache") == plain
    assert "dyson" not in record(weights, "--cache")["layers"][0]["ranks"]


def assert_refused(result: Result) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2
    assert all(lines)
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_table_has_a_row_a_layer_a_verdict_and_what_was_skipped(weights: Path) -> None:
    result = run(weights)
    analysis = rmtviz.analyze(weights)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == say(
        "cli.file", source="weights.safetensors", format="safetensors", parameters=7050, bytes=24200
    )
    heads = lines[2].split("  ")
    assert heads[0].strip() == say("cli.column.name")
    rows = {line.split()[0]: line for line in lines[3:6]}
    assert list(rows) == ["net.0", "net.2", "net.4"]
    for layer in analysis:
        number = "–" if layer.sigma is None else f"{layer.sigma:.4g}"
        assert number in rows[layer.name].split()
        assert "{} × {}".format(*layer.layer.shape) in rows[layer.name]
    assert not [row for row in rows.values() if "None" in row or "nan" in row]
    assert verdict.of_model(analysis) in lines
    assert f"net.4: {verdict.of_layer(analysis['net.4'])}" in lines
    assert lines.index(say("cli.skipped")) == len(lines) - 3
    assert "dw.weight" in lines[-2]
    assert "4×1×5×5" in lines[-2]
    assert say("skipped.depthwise") in lines[-2]
    assert "net.0.bias" in lines[-1]


@pytest.mark.parametrize("name", METHODS)
def test_json_is_the_analysis(weights: Path, name: str) -> None:
    expected = rmtviz.analyze(weights, METHODS[name]()).to_dict()
    assert record(weights, "--method", name) == json.loads(json.dumps(expected))


def test_the_default_is_bema(weights: Path) -> None:
    assert record(weights) == record(weights, "--method", "bema")
    assert record(weights)["method"] == "bema"


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (["--option", "bema.alpha=0.3"], BEMA(alpha=0.3)),
        (["--option", "bema.alpha=0.3", "--option", "bema.level=.5"], BEMA(0.3, 0.5)),
        (
            ["--method", "kritchman-nadler", "--option", "kritchman-nadler.level=0.9"],
            KritchmanNadler(0.9),
        ),
    ],
)
def test_options_reach_the_method(weights: Path, arguments: list[str], method) -> None:
    found = record(weights, *arguments)
    assert found == json.loads(json.dumps(rmtviz.analyze(weights, method).to_dict()))
    assert found["options"] == {key: getattr(method, key) for key in found["options"]}
    assert found["layers"] != rmtviz.analyze(weights, type(method)()).to_dict()["layers"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--method", "bima"],
        ["--method", ""],
        ["--method", "BEMA"],
        ["--option", "bema.alpha"],
        ["--option", "alpha=0.3"],
        ["--option", "=0.3"],
        ["--option", ".alpha=0.3"],
        ["--option", "bema.=0.3"],
        ["--option", "bema.alpha=nine"],
        ["--option", "bema.alpha="],
        ["--option", "bema.alpha=0.9"],
        ["--option", "bema.alpha=nan"],
        ["--option", "bema.beta=0.1"],
        ["--option", "kritchman-nadler.level=0.2"],
        ["--method", "kritchman-nadler", "--option", "bema.alpha=0.3"],
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_wrong_methods_and_options_are_refused(
    weights: Path, arguments: list[str], form: list[str]
) -> None:
    assert_refused(run(weights, *arguments, *form))


BROKEN = {
    "empty.pt": b"",
    "text.safetensors": b"these are no weights\n",
    "page.npz": b"<html><body>404</body></html>",
    "cut.npz": b"PK\x03\x04" + bytes(40),
    "pickle.pt": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R.",
    "zeros.pth": bytes(5000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    result = run(path, "--json")
    assert_refused(result)
    assert name in result.stderr


def test_a_cut_file_a_folder_and_no_file_are_refused(tmp_path: Path, weights: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-100])
    for path in (cut, tmp_path, tmp_path / "nothing.pt", tmp_path / ("x" * 300)):
        assert_refused(run(path))


def test_a_file_without_layers_is_no_refusal(tmp_path: Path) -> None:
    path = tmp_path / "biases.safetensors"
    safetensors.numpy.save_file({"bias": np.zeros(4, np.float32)}, path)
    result = run(path)
    assert result.exit_code == 0
    assert say("verdict.model_empty") in result.stdout
    assert record(path)["layers"] == []


def test_layers_that_are_not_finite_or_without_a_bulk_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    nan = np.full((30, 30), np.nan, np.float32)
    arrays = {"a.weight": nan, "b.weight": np.eye(30, dtype=np.float32)}
    safetensors.numpy.save_file(arrays, path)
    result = run(path)
    assert result.exit_code == 0
    assert say("skipped.not_finite") in result.stdout
    assert say("status.degenerate", p=30, rank=30) in result.stdout
    assert "nan" not in result.stdout
    found = record(path)
    assert [layer["sigma"] for layer in found["layers"]] == [None]
    assert [item["reason"] for item in found["skipped"]] == ["not_finite"]


def test_help_and_version_are_there() -> None:
    for arguments in (["--help"], ["analyze", "--help"], ["app", "--help"], ["--version"]):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stderr) == (0, "")
    assert rmtviz.__version__ in CliRunner().invoke(main, ["--version"]).stdout
    assert isinstance(main, click.Group)


def test_parse_sorts_options_by_owner() -> None:
    assert parse(["bema.alpha=0.25", "bema.a-b=x=y"], ["bema", "energy"]) == {
        "bema": {"alpha": "0.25", "a_b": "x=y"},
        "energy": {},
    }
    with pytest.raises(BadOption) as refusal:
        parse(["bema.alpha=0.25"], ["energy"])
    assert refusal.value.key == "option_unused"


def test_columns_are_aligned() -> None:
    rows = [{"name": "a", "spikes": "1"}, {"name": "long.name", "spikes": "1000000"}]
    lines = columns(rows)
    assert [
        line.index(end) + len(end) for line, end in zip(lines[1:], ["1", "1000000"], strict=True)
    ] == [len(lines[2])] * 2
    assert lines[0].startswith(say("cli.column.name"))
    assert columns([]) == []


def test_japanese_columns_are_aligned_as_a_terminal_shows_them() -> None:
    assert (width("層"), width("Σ ×"), width("ｱ")) == (2, 3, 1)
    with speaking("ja"):
        rows = [{"name": "0", "reason": "バルクがない"}, {"name": "long.name", "reason": "x"}]
        lines = columns(rows)
    assert {width(line) for line in lines} == {9 + 2 + 12}


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("x") as tick:
        for step in range(5):
            tick(step, 4)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("left", [True, False])
def test_a_bar_is_drawn_on_a_terminal_and_gives_the_line_back(monkeypatch, left: bool) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = progress("Working", left=left)
    bar.began -= 2  # seconds
    with bar as tick:
        tick(1, 4)
        bar.clear()
        tick(4, 4)
    drawn = stream.getvalue()
    assert "Working" in drawn
    assert drawn.endswith("\n") or "\x1b[K" in drawn[drawn.rindex("100%") :]
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")  # the cursor is back


def test_help_names_every_rule() -> None:
    words = CliRunner().invoke(main, ["prune", "--help"]).output
    assert [name for name in RULES if name not in " ".join(words.split())] == []


def test_it_can_be_run_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rmtviz", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"rmtviz, version {__version__}\n")


def program(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    code = "from rmtviz.cli import main; main(prog_name='rmtviz')"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        **options,
    )


def test_a_real_run_prints_json_from_another_folder(weights: Path, tmp_path: Path) -> None:
    done = program("analyze", weights, "--json", "--method", "kritchman-nadler", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = rmtviz.analyze(weights, KritchmanNadler()).to_dict()
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_a_real_refusal_is_two_lines(tmp_path: Path) -> None:
    done = program("analyze", "nothing.pt", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 2
    assert "nothing.pt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kind_may_be_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **{"wte.weight": np.eye(30, 25), "w": np.ones((3, 4))})
    layers = [["wte", [30, 25], "embedding"], ["w", [4, 3], "transposed"]]
    told = ["--kind", "wte.weight=embedding", "--kind", "w=transposed"]
    found = json.loads(run(path, "--json", *told).stdout)["layers"]
    assert sorted([x["name"], x["shape"], x["kind"]] for x in found) == sorted(layers)
    for wrong in ("wte.weight=matrix", "wte.weight", "none=linear", "w=convolution"):
        assert_refused(run(path, "--kind", wrong))


def test_convolutions_may_be_taken_as_operators(tmp_path: Path) -> None:
    path = tmp_path / "conv.npz"
    np.savez(path, **{"c.weight": np.full((1, 1, 3, 3), 1 / 9), "fc.weight": np.eye(3)})
    conv, fc = json.loads(run(path, "--json", "--operator", "6x6").stdout)["layers"]
    assert (conv["operator"]["count"], conv["operator"]["sides"]) == (36, "6x6")
    assert conv["operator"]["high"] == pytest.approx(1)  # a mean keeps a constant picture
    assert "operator" not in fc
    assert "36" in run(path, "--operator", "6x6").stdout.splitlines()[-1]
    np.savez(path, **{"c.weight": np.full((2, 2, 3, 3), np.nan)})
    assert run(path, "--operator", "6x6").exit_code == 0
    np.savez(path, **{"c.weight": np.ones((2, 2, 3, 3))})
    for wrong in ("2x2", "6x", "big", "0x5"):
        assert_refused(run(path, "--operator", wrong))
