"""The app on a live module, in its owner's process: a server in a thread, nothing sent away.

What is heavy is loaded when the app is opened, as this module is part of `import rmtviz`.
"""

import html
import importlib.util
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rmtviz.analysis import checkpoint_of
from rmtviz.errors import BadOption, ExtraMissing
from rmtviz.site import home
from rmtviz.words import say

HOST = "127.0.0.1"
"""Only this machine can ask the server."""


@dataclass(frozen=True, eq=False)
class Studio:
    """An open app: the address at which it shows the model, until it is stopped."""

    url: str
    stop: Callable[[], None]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the address."""
        address = html.escape(self.url)
        return f'<a href="{address}" target="_blank">{address}</a>'


def studio(
    model: Any,
    evaluate: Callable[[Any], float] | None = None,
    *,
    port: int = 0,
    open: bool = True,
    name: str | None = None,
) -> Studio:
    """Open the app on an nn.Module in this process, and return at once.

    The weights are those of now. `evaluate` is given a cut copy in eval mode and returns a
    number (perplexity, F1, a loss), which is shown under the function's name beside that of the
    whole module. Port 0 is any that is free; `open` opens a browser. While it is open, Streamlit's
    script stands in `sys.modules["__main__"]`: what is defined there can't be pickled.

    Raises:
        BadOption: no module, an app that is open already, or a port that is taken.
        ExtraMissing: Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise ExtraMissing("extra_missing", package="streamlit", extra="app")
    from streamlit import runtime

    from rmtviz.live import Live
    from rmtviz.ui import session

    if runtime.exists():
        raise BadOption("studio_open")
    live = None if evaluate is None else Live(model, evaluate)
    weights = live.checkpoint if live else checkpoint_of(model)
    kept = session.library().add(replace(weights, source=name or type(model).__name__), live=live)
    session.library().hold(kept.key)
    try:
        address, end = _serve(port)
    except BadOption:
        session.library().drop(kept.key)
        raise

    def stop() -> None:
        session.library().drop(kept.key)
        end()

    opened = Studio(f"{address}/prune?model={kept.key}", stop)
    print(say("live.open", url=opened.url))
    if open:
        webbrowser.open(opened.url)
    return opened


def _serve(port: int) -> tuple[str, Callable[[], None]]:
    """Start the app's server in a thread; return its address, and what ends it.

    Raises:
        BadOption: the port is taken.
    """
    import uvicorn
    from streamlit import runtime
    from streamlit.starlette import App
    from streamlit.web import bootstrap

    door = socket.socket()
    try:
        door.bind((HOST, port))
    except (OSError, OverflowError):
        door.close()
        raise BadOption("port_taken", port=port) from None
    found = door.getsockname()[1]
    main = sys.modules["__main__"]
    script = App(home() / "app.py")
    bootstrap.load_config_options({})  # anew, as now it is known which script's they are
    server = uvicorn.Server(
        uvicorn.Config(script, ws="websockets-sansio", log_level="error", access_log=False)
    )
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [door]}, name="studio", daemon=True
    )
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)

    def end() -> None:
        server.should_exit = True
        thread.join()
        door.close()
        runtime.Runtime._instance = None  # Streamlit knows of one in a process, ended or not
        sys.modules["__main__"] = main

    return f"http://{HOST}:{found}", end
