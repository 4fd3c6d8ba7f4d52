"""The shape of the package: which way imports point, who may know whom, how long a file is.

Every rule is a function from sources (path: text) to complaints, so that each can be shown
a made-up package that breaks it.
"""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    "version words errors extras knobs tokens site markup parallel",
    "marchenko_pastur checkpoint entries sparse",
    "tracy_widom blas spectrum spiked screenot factors heads kinds pairs peft chains layers "
    "attention operators protos grids codes graphs formats folders",
    "estimation fits metrics",
    "decomposition cache analysis",
    "rules",
    "costs cuts pruning schedules",
    "datasets networks",
    "evaluation",
    "whitening tradeoff ablation ranking workpiece frontier budget live",
    "training finetuning lab loops trial verdict lessons",
    "figures",
    "report",
    "ui cli",
    "__init__ __main__",
)
"""A module imports from the lines above its own, and from further left on its own line."""

FAMILIES = (
    "fits",
    "formats",
    "rules",
    "schedules",
    "datasets",
    "networks",
    "figures",
    "lessons",
    "ui.pages",
)
"""Open folders: their members know the folder's shared modules, never each other."""

SHARED = {"formats": ("sources", "zips", "pickles")}
"""The shared modules of a family, besides `base` and every name with an underscore in front."""

COMPOSED = {"fits": ("iterated", "dyson", "censored"), "formats": ("__main__",)}
"""Members that are made of others: a fit around a fit, a folder's own door."""

HEAVY = {
    "streamlit": ("app", "rmtviz.ui"),
    "plotly": ("rmtviz.figures", "rmtviz.report"),
    "torch": (
        *("rmtviz.networks", "rmtviz.evaluation", "rmtviz.training"),
        *("rmtviz.finetuning", "rmtviz.live", "rmtviz.loops"),
    ),
}
"""Who may import a heavy library."""

HEAVY_INSIDE_FUNCTIONS = {"torch": ("rmtviz.formats", "rmtviz.checkpoint")}

BROAD = ("app.py", "rmtviz/ui/work.py")
"""The error boundary and the job runner: the two places that may catch everything."""

LONGEST = 400

Sources = Mapping[str, str]


class Import(NamedTuple):
    """One name that a module imports; `inside` a function or at its top level."""

    module: str
    target: str
    inside: bool

    def __str__(self) -> str:
        return f"{self.module} imports {self.target}"


def read(*folders: str) -> Sources:
    files = [ROOT / "app.py"]
    for folder in folders:
        files += sorted((ROOT / folder).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def under(module: str, owners: tuple[str, ...]) -> bool:
    return any(module == owner or module.startswith(f"{owner}.") for owner in owners)


def imports(sources: Sources) -> Iterator[Import]:
    """All imports, those in functions, under TYPE_CHECKING and by import_module included."""
    known = {module_of(path) for path in sources}
    for path, text in sources.items():
        module = module_of(path)
        package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        tree = ast.parse(text, path)
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        inner = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, functions)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            for target in _targets(node, package, known):
                yield Import(module, target, id(node) in inner)


def _targets(node: ast.AST, package: str, known: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
        names = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in known else base for name in names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("import_module", "__import__"):
            return [str(node.args[0].value)]
    return []


def rank(module: str) -> tuple[int, int] | None:
    """The line and the place on the line of a module of rmtviz; None: it is not in the table."""
    name = module.split(".")[1] if "." in module else "__init__"
    for line, names in enumerate(LAYERS):
        if name in names.split():
            return line, names.split().index(name)
    return None


def unlisted(sources: Sources) -> list[str]:
    modules = {module_of(path) for path in sources if path.startswith("rmtviz/")}
    return [f"{module} is in no layer" for module in sorted(modules) if rank(module) is None]


def upward(sources: Sources) -> list[str]:
    complaints = []
    for found in imports(sources):
        if not (under(found.module, ("rmtviz",)) and under(found.target, ("rmtviz",))):
            continue
        here, there = rank(found.module), rank(found.target)
        if here and there and (there > here if found.target != "rmtviz" else there >= here):
            complaints.append(f"{found}: upwards")
    return complaints


def cycles(sources: Sources) -> list[str]:
    edges: dict[str, set[str]] = {module_of(path): set() for path in sources}
    for found in imports(sources):
        if found.target in edges and found.target != found.module:
            edges[found.module].add(found.target)
    complaints: list[str] = []
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circle = (*path[path.index(module) :], module)
            complaints.append(f"{' → '.join(circle)}: a cycle")
        elif module not in done:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())
    return complaints


def siblings(sources: Sources) -> list[str]:
    complaints = []
    for found in imports(sources):
        for family in FAMILIES:
            folder = f"rmtviz.{family}."
            if not found.module.startswith(folder) or not f"{found.target}.".startswith(folder):
                continue
            member = found.module.removeprefix(folder).split(".")[0]
            other = f"{found.target}.".removeprefix(folder).split(".")[0]
            shared = ("base", *SHARED.get(family, ()))
            if member in COMPOSED.get(family, ()):
                continue
            if other != member and other not in shared and not other.startswith("_"):
                complaints.append(f"{found}: its sibling")
    return complaints


def heavy(sources: Sources) -> list[str]:
    complaints = []
    for found in imports(sources):
        library = found.target.split(".")[0]
        if library not in HEAVY or under(found.module, HEAVY[library]):
            continue
        if not (found.inside and under(found.module, HEAVY_INSIDE_FUNCTIONS.get(library, ()))):
            complaints.append(f"{found}: too heavy for it")
    return complaints


def broad(sources: Sources) -> list[str]:
    everything = {"Exception", "BaseException"}
    complaints = []
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text, path)):
            if isinstance(node, ast.ExceptHandler):
                kinds = [node.type] if node.type else [ast.Name("BaseException")]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                kinds = list(node.args)
            else:
                continue
            names = {
                part.id for kind in kinds for part in ast.walk(kind) if isinstance(part, ast.Name)
            }
            if names & everything and path not in BROAD:
                complaints.append(f"{path}:{node.lineno} catches everything")
    return complaints


def long(sources: Sources) -> list[str]:
    lengths = {path: text.count("\n") for path, text in sources.items()}
    return [f"{path} has {n} lines" for path, n in lengths.items() if n > LONGEST]


@pytest.mark.parametrize("rule", [unlisted, upward, cycles, siblings, heavy, long])
def test_the_package_keeps_the_rule(rule: Callable[[Sources], list[str]]):
    complaints = rule(read("rmtviz"))
    assert not complaints, "\n".join(complaints)


def test_everything_is_caught_in_two_places_only():
    complaints = broad(read("rmtviz", "scripts", "benchmarks"))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (unlisted, {"rmtviz/extra.py": ""}),
        (unlisted, {"rmtviz/extra/part.py": ""}),
        (upward, {"rmtviz/errors.py": "import rmtviz.analysis"}),
        (upward, {"rmtviz/words/__init__.py": "from rmtviz.errors import RmtvizError"}),
        (upward, {"rmtviz/fits/bema.py": "def f():\n    from rmtviz.pruning import plan"}),
        (upward, {"rmtviz/rules/edge.py": "if TYPE_CHECKING:\n    from ..report import Report"}),
        (upward, {"rmtviz/ui/shell.py": "import rmtviz"}),
        (upward, {"rmtviz/ui/shell.py": "from rmtviz import cli", "rmtviz/cli.py": ""}),
        (cycles, {"rmtviz/a.py": "import rmtviz.b", "rmtviz/b.py": "from rmtviz import a"}),
        (cycles, {"rmtviz/f/__init__.py": "from . import a", "rmtviz/f/a.py": "import rmtviz.f"}),
        (siblings, {"rmtviz/fits/bema.py": "from rmtviz.fits.median import f"}),
        (siblings, {"rmtviz/fits/bema.py": "from rmtviz.fits import METHODS"}),
        (siblings, {"rmtviz/ui/pages/a.py": "from . import b", "rmtviz/ui/pages/b.py": ""}),
        (heavy, {"rmtviz/figures/fit.py": "import streamlit as st"}),
        (heavy, {"rmtviz/ui/shell.py": "import plotly.graph_objects"}),
        (heavy, {"rmtviz/formats/pytorch.py": "import torch"}),
        (heavy, {"rmtviz/analysis.py": "def f():\n    import torch"}),
        (heavy, {"rmtviz/analysis.py": "importlib.import_module('torch.nn')"}),
        (broad, {"rmtviz/cli.py": "try:\n    pass\nexcept Exception:\n    pass"}),
        (broad, {"rmtviz/cli.py": "try:\n    pass\nexcept:\n    pass"}),
        (broad, {"rmtviz/cli.py": "try:\n    pass\nexcept (OSError, BaseException):\n    pass"}),
        (broad, {"rmtviz/cli.py": "with contextlib.suppress(Exception):\n    pass"}),
        (long, {"rmtviz/cli.py": "\n" * (LONGEST + 1)}),
    ],
)
def test_a_broken_rule_is_seen(rule: Callable[[Sources], list[str]], sources: Sources):
    assert len(rule(sources)) == 1


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (upward, {"rmtviz/analysis.py": "from rmtviz.fits import METHODS\nimport numpy"}),
        (upward, {"rmtviz/knobs.py": "from rmtviz.errors import BadOption"}),
        (siblings, {"rmtviz/fits/bema.py": "from rmtviz.fits.base import MPFit"}),
        (siblings, {"rmtviz/fits/__init__.py": "from rmtviz.fits.bema import BEMA"}),
        (siblings, {"rmtviz/formats/npz.py": "from rmtviz.formats.zips import members"}),
        (heavy, {"rmtviz/formats/pytorch.py": "def f():\n    import torch"}),
        (heavy, {"app.py": "import streamlit", "rmtviz/ui/a.py": "import streamlit"}),
        (broad, {"app.py": "try:\n    pass\nexcept Exception:\n    pass"}),
        (broad, {"rmtviz/cli.py": "try:\n    pass\nexcept OSError:\n    pass"}),
    ],
)
def test_a_kept_rule_is_not_complained_about(
    rule: Callable[[Sources], list[str]], sources: Sources
):
    assert rule(sources) == []


@pytest.mark.parametrize("module", ["rmtviz", "rmtviz.cli"])
def test_an_import_loads_nothing_heavy(module: str):
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    unwanted = {"torch", "streamlit", "plotly", "pandas", "scipy.stats"}
    assert unwanted & set(loaded.stdout.split()) == set()


def test_every_file_says_what_it_is():
    sources = read("rmtviz", "tests", "scripts", "benchmarks")
    silent = [
        path for path, text in sources.items() if text and not ast.get_docstring(ast.parse(text))
    ]
    assert not silent, "\n".join(silent)
