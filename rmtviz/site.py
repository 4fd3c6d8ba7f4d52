"""Where the app's own files are, and where it keeps what visitors make."""

import os
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
