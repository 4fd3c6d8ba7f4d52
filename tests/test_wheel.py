"""The wheel works where nothing else is installed: no torch, no streamlit, no checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = sorted((ROOT / "assets" / "models").glob("*.safetensors"))

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without the variables that would let it find the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that holds the wheel and what it declares."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    programs = folder / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_the_app(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    site = {name.removeprefix("rmtviz/_site/") for name in names if "/_site/" in name}
    assert {"app.py", ".streamlit/config.toml", "assets/logo.png"} <= site
    assert {f"assets/models/{model.name}" for model in MODELS} <= site
    assert {f"static/fonts/{name}" for name in ("inter-latin.woff2", "LICENSE-Inter.txt")} <= site
    assert {"rmtviz/py.typed", "rmtviz/words/en.toml"} <= names
    chart = ROOT / "rmtviz" / "ui" / "spectrum_chart"
    drawn = {path.name for path in chart.iterdir() if path.suffix in (".css", ".html", ".js")}
    assert {"chart.css", "chart.html", "chart.js"} <= drawn
    assert {f"rmtviz/ui/spectrum_chart/{name}" for name in drawn} <= names


def test_only_what_is_declared_is_installed(bare: Path, tmp_path: Path):
    listed = json.loads(run(bare / "python", "-m", "pip", "list", "--format=json", cwd=tmp_path))
    names = {package["name"].lower() for package in listed}
    assert "rmtviz" in names
    assert names & {"torch", "streamlit", "plotly", "pandas"} == set()


def test_it_runs_from_another_folder(bare: Path, tmp_path: Path):
    run(bare / "python", "-W", "error", "-c", "import rmtviz", cwd=tmp_path)
    assert "analyze" in run(bare / "rmtviz", "--help", cwd=tmp_path)
    assert "0." in run(bare / "rmtviz", "--version", cwd=tmp_path)


def test_it_analyses_the_models_that_it_holds(bare: Path, tmp_path: Path):
    where = "from rmtviz.site import home; print(home())"
    home = Path(run(bare / "python", "-c", where, cwd=tmp_path).strip())
    assert home.name == "_site"
    models = sorted((home / "assets" / "models").glob("*.safetensors"))
    assert models
    for model in models:
        answer = json.loads(run(bare / "rmtviz", "analyze", model, "--json", cwd=tmp_path))
        assert answer["layers"]
