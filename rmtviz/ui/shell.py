"""The frame around every page: navigation, the model bar, the last word on errors, the warm-up."""

import gc
import importlib
import logging
import secrets
import threading

import streamlit as st

from rmtviz.errors import RmtvizError
from rmtviz.lessons import tracy_widom
from rmtviz.site import home
from rmtviz.tokens import MODES
from rmtviz.ui import language, links, models, session, widgets
from rmtviz.words import say

PAGES = {
    "home": ":material/home:",
    "explore": ":material/query_stats:",
    "prune": ":material/content_cut:",
    "studio": ":material/balance:",
    "train": ":material/model_training:",
    "learn": ":material/school:",
}
"""The pages in order: file name under pages/ (and place in the URL), and icon."""

log = logging.getLogger("rmtviz")


def run() -> None:
    """Draw the page that the visitor asked for."""
    language.listen()
    st.set_page_config(
        page_title=say("app.name"), page_icon=str(home() / "assets" / "logo.png"), layout="wide"
    )
    st.logo(str(home() / "assets" / "logo.png"))
    page = st.navigation(
        [
            st.Page(
                widgets.page(name),
                title=say(f"{name}.nav"),
                icon=icon,
                default=name == next(iter(PAGES)),
            )
            for name, icon in PAGES.items()
        ],
        position="top",
    )
    _legible()
    links.arrive(page.url_path)
    try:
        if not links.bare():
            models.bar()
        page.run()
    finally:
        links.leave(page.url_path)
    warm()


def _legible() -> None:
    """Give filled buttons and chips the text of `tokens`: Streamlit's is white on any ground."""
    colour = MODES[session.mode()].on_accent
    filled = "[data-testid=stBaseButton-primary], [data-testid=stMultiSelect] [data-tag] *"
    st.html(f"<style>{filled} {{ color: {colour} }}</style>")


def failed(error: Exception) -> None:
    """Tell the visitor what went wrong and what to do; the details go to the server's log."""
    if isinstance(error, RmtvizError):
        widgets.refusal(error)
        return
    number = secrets.token_hex(3)
    log.exception("incident %s", number, exc_info=error)
    st.error(say("app.failed_do"), title=say("app.failed", number=number), icon=":material/error:")


@st.cache_resource(show_spinner=False)
def warm() -> threading.Thread:
    """Load what later pages need, once, after the first page stands.

    Streamlit collects garbage after each run, holding the interpreter lock; freezing what
    the imports made takes about 115 ms off each interaction (see docs/decisions).
    """

    def work() -> None:
        importlib.import_module("rmtviz.training").warm()
        tracy_widom.density()
        gc.collect()
        gc.freeze()

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    return thread
