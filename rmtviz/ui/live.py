"""The live view of a run: its state and buttons, a sentence, figures, curves and the film."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from rmtviz.datasets import Dataset
from rmtviz.ui import branching, curves, film, jobs, kept, links, session, widgets
from rmtviz.ui.runs import Run, Snapshot
from rmtviz.ui.work import Job
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training

REFRESH = 0.5
"""Seconds between two looks at a job that is at work."""

ICONS = {
    "queued": ":material/hourglass_top:",
    "running": ":material/model_training:",
    "paused": ":material/pause_circle:",
    "done": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/history:",
}


def start(settings: "Training | None", run: Run | None, own: Dataset | None) -> None:
    """Draw the button that starts a run; not while the visitor's last one is at work."""
    pressed = st.button(
        say("train.start"),
        icon=":material/play_arrow:",
        type="primary",
        width="stretch",
        disabled=settings is None or (run is not None and not run.snapshot.over),
    )
    if pressed and settings is not None:
        kept.look_at(jobs.registry().submit(settings, own))
        st.rerun()


def watch(run: Run, settings: "Training | None") -> None:
    """Draw a run: by itself while it is at work, once when it is over.

    `settings` are those of the controls, with which a branch of it would be trained.
    """
    mode, token = session.mode(), run.token
    if run.snapshot.over:
        _draw(run, mode)
        _after(run, settings)
        return

    @st.fragment(run_every=REFRESH)
    def follow() -> None:
        now = jobs.registry().find(token)
        if now is None or now.snapshot.over:
            st.rerun()
        _draw(now, mode)

    follow()


def _draw(run: Run, mode: str) -> None:
    shot = run.snapshot
    _status(run, shot)
    sentence(shot)
    _figures(run, shot)
    _curves(shot, mode)
    film.draw(run, mode)


def _status(run: Run, shot: Snapshot) -> None:
    """Draw the state in words, how far the run is, and its buttons."""
    within = shot.state == "running" or (shot.state == "paused" and shot.step > 0)
    between = shot.state == "paused" and not within
    ahead = jobs.registry().ahead(run)
    key = "queued_one" if shot.state == "queued" and ahead == 1 else shot.state
    words = say(
        f"train.{'paused_after' if between else run.asked or key}",
        epoch=min(shot.epoch + within, shot.epochs),
        epochs=shot.epochs,
        ahead=ahead,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{ICONS[shot.state]} **{words}**")
        if shot.state == "paused":
            st.button(say("train.step"), icon=":material/skip_next:", on_click=run.step)
        buttons(run)
    st.progress(shot.share)
    problem(run)


def buttons(job: Job[Any]) -> None:
    """Draw pause, go on, stop and resume, as far as the job's state has them."""
    state, asked = job.snapshot.state, job.asked
    if state == "running" and not asked:
        st.button(say("train.pause"), icon=":material/pause:", on_click=job.pause)
    if state == "paused" or asked == "pausing":
        st.button(say("train.go_on"), icon=":material/play_arrow:", on_click=job.go_on)
    if not job.snapshot.over and asked != "stopping":
        st.button(say("train.stop"), icon=":material/stop:", on_click=job.stop)
    if state in ("stopped", "failed", "interrupted"):
        st.button(
            say("train.resume"),
            icon=":material/play_arrow:",
            on_click=jobs.registry().resume,
            args=(job,),
        )


def problem(job: Job[Any]) -> None:
    """Say what went wrong, where something did."""
    if found := job.snapshot.problem:
        st.error(found[1], title=found[0], icon=":material/error:")


def sentence(shot: Snapshot) -> None:
    """Say in one sentence how good the network is by now, and how large."""
    if not shot.rows:
        st.subheader(say("train.sentence_none"), anchor=False)
        return
    row = shot.rows[-1]
    share = row["parameters"] / shot.rows[0]["parameters"]
    st.subheader(
        say(
            "train.sentence_whole" if share == 1 else "train.sentence",
            epoch=row["epoch"],
            epochs=shot.epochs,
            accuracy=row["selection_accuracy"],
            samples=shot.selection_samples,
            share=share,
        ),
        anchor=False,
    )


def _figures(run: Run, shot: Snapshot) -> None:
    """Draw the latest figures side by side."""
    row: dict[str, Any] = shot.rows[-1] if shot.rows else {}
    noisy = say("train.selection_noisy") if run.recipe.label_noise else None
    apart = row["train_accuracy"] - row["selection_accuracy"] if row else None
    taken = sum(each["spectra_seconds"] for each in shot.rows)
    whole = taken + sum(each["seconds"] for each in shot.rows)
    shown = {
        "loss": f"{row['train_loss']:.4f}" if row else None,
        "train_accuracy": f"{row['train_accuracy']:.2%}" if row else None,
        "selection_accuracy": f"{row['selection_accuracy']:.2%}" if row else None,
        "gap": None if apart is None else f"{100 * apart:+.1f}",
        "parameters": f"{row['parameters']:,}" if row else None,
        "never": say("train.classes", n=len(row["never_predicted"])) if row else None,
        "spectra": f"{taken / whole:.1%}" if shot.epoch else None,
        "test": None if shot.test_accuracy is None else f"{shot.test_accuracy:.2%}",
    }
    helps = {
        "train_accuracy": noisy,
        "selection_accuracy": noisy,
        "gap": say("train.gap_help"),
        "never": say("train.never_help"),
        "spectra": say(
            "train.spectra_help",
            looks=len(shot.looks),
            epochs=max(0, len(shot.rows) - 1),
            cuts=len(curves.cuts(shot.rows)),
        ),
        "test": say("train.test_help", samples=shot.test_samples),
    }
    with st.grid(4, min_column_width=150):
        for key, value in shown.items():
            label = say(f"train.{key}")
            st.metric(label, value, border=True, help=helps.get(key))


def _curves(shot: Snapshot, mode: str) -> None:
    """Draw the curves over the epochs, three in a row."""
    marks = curves.cuts(shot.rows)
    drawn = [("loss", curves.losses(shot.losses, shot.rows), ".2f")]
    drawn += [(name, points(shot.rows), form) for name, (points, form) in curves.CURVES.items()]
    with st.grid(3, min_column_width=240):
        for name, points, form in drawn:
            note = curves.gone(shot.rows) if name == "start" else None
            curves.draw(name, points, form, shot.epochs, mode, marks, still=shot.over, note=note)


def _after(run: Run, settings: "Training | None") -> None:
    """Make a finished run's network the current model, and offer what comes next."""
    model = jobs.registry().model(run.token)
    if model is None:
        return
    if st.session_state.get("adopted") != (run.token, model.title):
        st.session_state["adopted"] = (run.token, model.title)
        session.choose(model)
        st.rerun()
    if links.bare():
        return
    with st.container(horizontal=True):
        if st.button(say("train.explore"), icon=":material/query_stats:", type="primary"):
            st.switch_page(widgets.page("explore"))
        if st.button(say("train.prune"), icon=":material/content_cut:"):
            st.switch_page(widgets.page("prune"))
    branching.draw(run, settings)
    kept.take(run)
    st.caption(say("train.link"))
