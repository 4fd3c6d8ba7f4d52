"""Where the app's own files are: app.py, static/, assets/."""

from pathlib import Path


def home() -> Path:
    """Return the folder of the app: inside an installed wheel, or else the checkout's root."""
    package = Path(__file__).parent
    packed = package / "_site"
    return packed if packed.is_dir() else package.parent
