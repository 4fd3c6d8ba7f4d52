"""Where the app's own files are, and where it keeps what visitors make."""

import os
import shutil
from pathlib import Path


def home() -> Path:
    """Return the folder of the app: inside an installed wheel, or else the checkout's root."""
    package = Path(__file__).parent
    packed = package / "_site"
    return packed if packed.is_dir() else package.parent


def data_home() -> Path:
    """Return the folder of what the app keeps: $RMTVIZ_HOME, else the user's data folder."""
    chosen = os.environ.get("RMTVIZ_HOME")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("rmtviz")


def make_room(folder: Path, pattern: str, keep: int, busy: frozenset[str] = frozenset()) -> None:
    """Delete the oldest folders of this pattern, but for the busy ones, until `keep` are left."""
    old = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    idle = [path for path in old if path.name not in busy]
    for path in idle[: max(0, len(old) - keep)]:
        shutil.rmtree(path, ignore_errors=True)
