"""A journey on the Train page with one's own data, and what somebody else sees of its link."""

import io
import re

import numpy as np
from playwright.sync_api import Browser, Page, expect

from rmtviz import datasets
from rmtviz.words import say
from tests.browser.conftest import Server
from tests.browser.steps import LONG, button, go

COUNT = 200


def samples() -> bytes:
    labels = np.arange(COUNT) % 4
    values = np.random.default_rng(0).normal(size=(COUNT, 11)) + 4 * (labels[:, None] == range(11))
    file = io.BytesIO()
    np.savez(file, x=values, y=labels)
    return file.getvalue()


def test_a_file_is_opened_trained_on_and_pruned_and_its_link_shows_none_of_it(
    page: Page, browser: Browser, server: Server
):
    page.goto("/train?widths=32,+24&epochs=2")
    button(page, "train.own_open").click()
    file = {"name": "mine.npz", "mimeType": "application/octet-stream", "buffer": samples()}
    page.locator("input[type=file]").last.set_input_files(file)
    sets = say("train.own_sets", train=128, batch=8, selection=32, test=40)
    expect(page.get_by_text(sets)).to_be_visible()
    key = datasets.read({"": samples()}).key
    expect(page).to_have_url(re.compile(key))
    button(page, "train.start").click()
    expect(page.get_by_text(say("train.done", epochs=2))).to_be_visible(timeout=LONG)
    expect(page).to_have_url(re.compile("model=run-"))
    link = page.url
    go(page, "prune")
    accuracy = say("prune.accuracy", samples=32, unit=say("unit.samples"))
    expect(page.get_by_text(accuracy)).to_be_visible()

    other = browser.new_context(base_url=server.url, reduced_motion="reduce").new_page()
    other.goto(link)
    expect(other.get_by_text(say("train.own_missing", key=key, name="MNIST"))).to_be_visible()
    expect(other.get_by_text(say("train.done", epochs=2))).to_be_visible()
    go(other, "prune")
    expect(other.get_by_text(say("error.own_closed.what", dataset=key))).to_be_visible()
    expect(other.get_by_text(accuracy)).to_have_count(0)
    other.context.close()
