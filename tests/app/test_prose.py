"""What people read stands in the catalogue, and colours in the tokens; nowhere else."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WHERE = (
    "app.py",
    "rmtviz/ui/**/*.py",
    "rmtviz/figures/*.py",
    "rmtviz/report.py",
    "rmtviz/verdict.py",
    "rmtviz/cli/*.py",
)
"""The modules that show something to people."""

PROSE = re.compile(r"(?<![\w-])[^\W\d_]{2,}[,;:.]? +[^\W\d_]{2,}(?![\w-])")
"""Two words in a row, of two letters or more each."""

ALLOWED = {
    "rmtviz/report.py": ("body { font:", "<!doctype html>"),
    "rmtviz/ui/stage/__init__.py": ('<div class="stage">',),
    "rmtviz/ui/doors/__init__.py": ('<svg role="img">',),
}
"""Stylesheets and markup, by the file and how the literal begins."""

SHOWS = (
    "badge button caption checkbox code download_button echo error expander file_uploader header "
    "info label latex link_button markdown metric multiselect number_input popover progress "
    "segmented_control select_slider selectbox slider spinner subheader success text text_input "
    "title toast toggle warning write"
)
"""Calls whose first argument people read."""

READ = "alt caption delta delta_description help label placeholder text title"
"""Keywords whose value people read, in calls of Streamlit."""

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl)a?\((?!0, ?0, ?0, ?0\))\d")


def sources() -> Mapping[str, str]:
    files = sorted(path for pattern in WHERE for path in ROOT.glob(pattern))
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Every text in a source, f-strings as one with `{}` for what they fill in.

    Left out: docstrings, annotations, what is logged, the messages of assertions and of
    faults of the program (ValueError).
    """
    tree = ast.parse(source)
    unread: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                unread.add(id(node.value))
            case ast.Assert(msg=ast.expr() as message):
                unread |= {id(each) for each in ast.walk(message)}
            case ast.Call(func=ast.Attribute(value=ast.Name("log"))):
                unread |= {id(each) for each in ast.walk(node)}
            case ast.Call(func=ast.Name("ValueError")):
                unread |= {id(each) for each in ast.walk(node)}
            case (
                ast.arg(annotation=ast.expr() as kind) | ast.FunctionDef(returns=ast.expr() as kind)
            ):
                unread |= {id(each) for each in ast.walk(kind)}
            case ast.JoinedStr(values=parts):
                unread |= {id(part) for part in parts if isinstance(part, ast.Constant)}
                for part in parts:
                    if isinstance(part, ast.FormattedValue) and part.format_spec:
                        unread |= {id(each) for each in ast.walk(part.format_spec)}
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, words(node)


def words(node: ast.expr) -> str:
    """The fixed part of a literal; nothing for other expressions."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(words(part) or "{}" for part in parts)
    return ""


def prose(path: str, source: str) -> list[str]:
    allowed = ALLOWED.get(path, ())
    return [
        f"{path}:{line}: {text}"
        for line, text in literals(source)
        if PROSE.search(text) and not text.strip().startswith(allowed)
    ]


def labels(path: str, source: str) -> list[str]:
    """Letters that are handed to something that shows them, without going through `say`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        logs = ast.unparse(node.func).startswith("log.")
        shown = node.args[:1] if name in SHOWS.split() and not logs else []
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "st":
            shown += [each.value for each in node.keywords if each.arg in READ.split()]
        found += [
            f"{path}:{node.lineno}: {words(each)}"
            for each in shown
            if re.search(r"[^\W\d_]", re.sub(r":material/\w+:", "", words(each)))
        ]
    return found


def colours(path: str, source: str) -> list[str]:
    return [f"{path}:{line}: {text}" for line, text in literals(source) if COLOUR.search(text)]


def test_no_sentence_stands_outside_the_catalogue():
    assert [each for path, source in sources().items() for each in prose(path, source)] == []


def test_no_label_stands_outside_the_catalogue():
    assert [each for path, source in sources().items() for each in labels(path, source)] == []


def test_no_colour_stands_outside_the_tokens():
    files = sorted([ROOT / "app.py", *(ROOT / "rmtviz").rglob("*.py")])
    found = [
        each
        for path in files
        if path != ROOT / "rmtviz" / "tokens.py"
        for each in colours(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]
    assert found == []


def test_the_modules_are_found():
    names = set(sources())
    assert {"app.py", "rmtviz/ui/pages/explore.py", "rmtviz/figures/spectrum.py"} <= names
    assert {"rmtviz/report.py", "rmtviz/verdict.py", "rmtviz/cli/__init__.py"} <= names


@pytest.mark.parametrize(
    ("check", "source", "seen"),
    [
        (prose, "x = 'Nothing is cut'", True),
        (prose, "x = f'{n} layers were found'", True),
        (prose, "x = f'{n} layers' + f'{a}: {b:.2f} of'", False),
        (prose, "x = 'y domain', 'lines+markers', '%.0f %%', 'text/html', ' · '", False),
        (prose, "def f():\n    'Return it all.'", False),
        (prose, "X = 1\n'''What it means.'''", False),
        (prose, "log.error('incident number %s', n)", False),
        (prose, "assert x, 'never seen'", False),
        (prose, "def f(x: 'tuple[int, str] or none') -> 'list or none': pass", False),
        (prose, "raise ValueError('labels must be int')", False),
        (prose, "x = say('train.done', n=1)", False),
        (labels, "st.title('Explore')", True),
        (labels, "left.button(f'Undo {n}')", True),
        (labels, "st.slider(say('prune.rank'), help='More')", True),
        (labels, "st.markdown(f'**{verdict}**')", False),
        (labels, "st.markdown(f':material/error: **{words}**')", False),
        (labels, "st.slider(say('prune.rank'), key='rank')", False),
        (colours, "x = '#1c69ad'", True),
        (colours, "x = 'rgb(1, 2, 3)'", True),
        (colours, "x = 'rgba(0,0,0,0)'", False),
        (colours, "def f():\n    'As #rrggbb, such as #ffffff.'", False),
    ],
)
def test_the_scan_sees_what_it_should(check, source: str, seen: bool):
    assert bool(check("x.py", source)) is seen
