"""A network's folder, as Hugging Face has it, written back with other weights.

Settings and tokenizer stay as they are. Factored weights come as `factored.safetensors` with a
loader beside them, twenty lines of plain PyTorch: under the name `model.safetensors` a library
that knows nothing of pairs would pass them over and leave those layers random. Without a factored
layer the folder opens as it did before. An adapter's settings are made true of its new ranks.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

from rmtviz import formats, peft
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption
from rmtviz.pairs import factored_pairs

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".pt2", ".onnx", ".npz", ".h5", ".keras", ".gguf")
"""Endings of files that would be other weights than those written; they are not taken along."""

ALSO = (".msgpack", ".ot", ".ckpt", ".index.json")
"""Endings of weights that are not read here, and of the list of shards."""

LOADER = "load_factored.py"


def write(checkpoint: Checkpoint, folder: Path, output: Path) -> tuple[str, ...]:
    """Write a folder's other files and these weights into a new folder; return the names.

    Raises:
        BadOption: the new folder is there and not empty, or cannot be written.
    """
    part = output.with_name(f".{output.name}.part")
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise BadOption("folder_taken", output=output)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for path in _others(folder):
            shutil.copyfile(path, part / path.name)
        settings = part / peft.SETTINGS
        adapter = settings.is_file()
        for name, content in _weights(checkpoint, adapter).items():
            (part / name).write_bytes(content)
        if adapter:
            _update(checkpoint, settings)
        if output.exists():
            output.rmdir()
        part.replace(output)
    except OSError as problem:
        shutil.rmtree(part, ignore_errors=True)
        raise BadOption("not_written", output=output, why=problem.strerror) from None
    return tuple(sorted(path.name for path in output.iterdir()))


def _weights(checkpoint: Checkpoint, adapter: bool) -> Mapping[str, bytes]:
    """Return the files of the weights, by name."""
    told = replace(checkpoint, metadata={"format": "pt", **checkpoint.metadata})
    content = formats.write(told, "safetensors")
    if not factored_pairs(checkpoint):
        return {peft.WEIGHTS if adapter else "model.safetensors": content}
    loader = resources.files("rmtviz.formats").joinpath(f"_{LOADER}").read_bytes()
    return {"factored.safetensors": content, LOADER: loader}


def _update(checkpoint: Checkpoint, settings: Path) -> None:
    """Make an adapter's settings true; where they are, the file stays as it is."""
    told = formats.settings(settings)
    new = peft.after(checkpoint, told)
    if new != told:
        settings.write_text(peft.text(new), "utf-8")


def _others(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are no weights; what lies deeper is not looked at."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.endswith((*WEIGHTS, *ALSO)) and path.name != LOADER:
            yield path
