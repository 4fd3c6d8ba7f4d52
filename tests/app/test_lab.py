"""The training lab: cuts while it trains, the film, branches, runs side by side and kept."""

import io
import json

import pandas as pd
import pytest

from rmtviz import lab, training
from rmtviz.schedules import Once
from rmtviz.ui import contests, findings, jobs, live, recipes
from rmtviz.ui.jobs import Registry
from rmtviz.ui.recipes import CUTS, PRESETS
from rmtviz.words import catalogue, say

SETTINGS = {"dataset": "digits", "images": "500", "widths": "48, 32", "epochs": "4"}
CUT = {**SETTINGS, "cuts": "once", "knob_once_epoch": "2", "knob_once_gate": "none"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons of a few contenders on the digits, so that they take a second or two."""
    few = ("none", "early-stopping", "rmt-afterwards", "rmt-chosen")
    monkeypatch.setattr(lab, "CONTENDERS", {name: lab.CONTENDERS[name] for name in few})


def the_run(visitor):
    return jobs.registry().find(visitor.at.session_state["run"])


def scrubbed(visitor, epoch: int):
    """The visitor with the film at the look after an epoch."""
    run = the_run(visitor)
    return visitor.choose(f"film_{run.token}_{len(run.snapshot.looks)}", epoch)


def done(visitor, epochs: int = 4):
    return visitor.until(lambda: say("train.done", epochs=epochs) in visitor.words)


@pytest.fixture
def cut(visit):
    """A visitor whose run was cut once, after its second epoch."""
    return done(visit("train", **CUT).press("train.start"))


def test_a_link_brings_the_settings_and_a_run_takes_them(visit):
    visitor = visit("train", **CUT, dropout="0.3", learning_rate="0.004", optimiser="sgd")
    run = the_run(visitor.press("train.start"))
    assert run.recipe.dataset == "digits"
    assert (run.recipe.widths, run.recipe.epochs) == ((48, 32), 4)
    assert (run.recipe.dropout, run.recipe.learning_rate) == (0.3, 0.004)
    assert run.recipe.optimiser == "sgd"
    assert run.recipe.schedule == Once(epoch=2, gate="none")
    given = {name: visitor.at.query_params[name] for name in CUT}
    assert given == CUT


@pytest.mark.parametrize(
    "nonsense",
    [
        {"images": "7"},
        {"epochs": "many"},
        {"epochs": "1000"},
        {"label_noise": "-5"},
        {"optimiser": "magic"},
        {"cuts": "always"},
        {"knob_once_epoch": "-1", "cuts": "once"},
    ],
)
def test_a_word_that_makes_no_sense_is_passed_over(visit, nonsense: dict[str, str]):
    visitor = visit("train", **nonsense)
    assert visitor.errors == []
    assert not visitor.button("train.start").disabled


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_every_control(visit, name: str):
    visitor = visit("train", dataset="digits", dropout="0.5")
    visitor.press(f"train.preset.{name}")
    found = the_run(visitor.press("train.start")).recipe
    assert found == training.Training(**PRESETS[name])
    visitor.press("train.stop")


@pytest.mark.parametrize("name", CUTS)
def test_every_schedule_is_offered_with_its_knobs(visit, name: str):
    visitor = visit("train", cuts=name)
    assert visitor.errors == []
    labels = {each.label for each in (*visitor.at.selectbox, *visitor.at.number_input)}
    assert (say("choice.stays") in labels) is (name != "never")
    assert (say("choice.schedule.gate") in labels) is (name != "never")


def test_a_cut_is_seen_in_every_figure(cut):
    rows = the_run(cut).snapshot.rows
    assert [row["epoch"] for row in rows if row["cut"]] == [2]
    share = rows[-1]["parameters"] / rows[0]["parameters"]
    assert share < 1
    assert f"with {share:.1%} of the numbers" in cut.words
    charts = [json.loads(each.proto.spec) for each in cut.at.get("vega_lite_chart")]
    marks = [layer["data"]["values"][0]["epoch"] for spec in charts for layer in spec["layer"][1:]]
    assert marks == [2] * 6


def test_the_film_is_scrubbed_back_to_before_the_cut(cut):
    run = the_run(cut)
    made = run.snapshot.rows[2]["cut"]["layers"][0]
    assert "are stored" in cut.words
    scrubbed(cut, 2)
    before = say(
        "train.spectrum_cut", epoch=2, before=made["rank_before"], after=made["rank_after"]
    )
    assert before in cut.words
    limit = cut.figure("live-spectrum")["layout"]["xaxis"]["range"]
    scrubbed(cut, 0)
    assert say("train.spectrum_of", epoch=0) in cut.words
    assert cut.figure("live-spectrum")["layout"]["xaxis"]["range"] == limit


def test_the_film_stands_at_looks_and_reads_each_once(cut, visit, monkeypatch):
    token, looks = the_run(cut).token, the_run(cut).snapshot.looks
    assert {0, 2, 4} <= set(looks)
    jobs.registry.cache_clear()  # a server that has no frames in memory
    again = visit("train", run=token)
    run, read = the_run(again), []
    assert again.at.get_by_key(f"film_{token}_{len(looks)}").options == list(map(str, looks))
    honest = run._read
    monkeypatch.setattr(run, "_read", lambda epoch: read.append(epoch) or honest(epoch))
    for epoch in (*looks, *reversed(looks)):
        scrubbed(again, epoch)
    assert read == []


def test_an_epoch_without_a_look_shows_the_last_one_and_says_so(visit):
    visitor = visit("train", **{**SETTINGS, "epochs": "60"}).press("train.start")
    visitor.until(lambda: say("train.pause") in visitor.buttons())
    visitor.press("train.pause").until(lambda: say("train.step") in visitor.buttons())
    while the_run(visitor).snapshot.looks[-1] == (last := the_run(visitor).snapshot.epoch):
        visitor.press("train.step")
        after = say("train.paused_after", epoch=last + 1, epochs=60)
        visitor.until(lambda after=after: after in visitor.words)
    looked = the_run(visitor).snapshot.looks[-1]
    assert say("train.film_latest", epoch=last, looked=looked) in visitor.words
    assert say("train.spectrum_of", epoch=looked) in visitor.words
    visitor.press("train.stop")


def test_where_a_cut_leaves_no_bulk_the_page_says_why(cut):
    run = the_run(cut)
    row = run.snapshot.rows[-1]
    assert row["start"]["0"] is None
    assert say("train.spectrum_gone", rank=row["ranks"]["0"]) in cut.words
    gone = [name for name, value in row["start"].items() if value is None and name != "4"]
    assert say("train.start_gone", epoch=2, layers=", ".join(gone)) in cut.words


def test_a_stopped_run_is_stopped_for_the_next_server_too(visit):
    visitor = visit("train", **{**SETTINGS, "epochs": "60"}).press("train.start")
    visitor.until(lambda: say("train.stop") in visitor.buttons())
    visitor.press("train.stop").until(lambda: say("train.resume") in visitor.buttons())
    token, epoch = the_run(visitor).token, the_run(visitor).snapshot.epoch
    jobs.registry.cache_clear()
    again = visit("train", run=token)
    assert say("train.stopped", epoch=epoch, epochs=60) in again.words
    table = again.choose("show", "kept").at.dataframe[0]
    assert list(table.value["state"]) == [say("train.state.stopped")]
    assert table.proto.placeholder == say("explore.none")
    again.choose("show", "one").press("train.resume")
    again.until(lambda: the_run(again).snapshot.epoch > epoch)
    unfinished = Registry(the_run(again).folder.parent, slots=1).find(token)
    assert unfinished.snapshot.state == "interrupted"
    again.press("train.stop")


@pytest.mark.parametrize("code", ["ja", "en"])
def test_settings_stay_when_the_language_changes(visit, code: str):
    settings = {**CUT, "optimiser": "sgd", "dropout": "0.3", "label_noise": "15", "stays": "energy"}
    visitor = visit("train", lang="en" if code == "ja" else "ja", **settings)
    visitor.choose("lang", code).run()
    assert {name: visitor.at.query_params.get(name) for name in settings} == settings


def test_a_run_with_a_schedule_survives_the_server(cut, visit):
    token = the_run(cut).token
    rows = the_run(cut).snapshot.rows
    jobs.registry.cache_clear()  # a server that knows nothing but the disk
    again = visit("train", run=token)
    assert say("train.done", epochs=4) in again.words
    assert the_run(again).snapshot.rows == rows
    assert again.metrics[say("train.test")] != "—"
    scrubbed(again, 0)
    assert say("train.spectrum_of", epoch=0) in again.words


def test_a_branch_begins_with_that_epochs_network(cut):
    origin = the_run(cut)
    cut.choose_by_label(say("train.branch_epoch"), 1)
    cut.choose("cuts", "never").choose("epochs", 3).choose("dropout", 0.2)
    cut.choose("label_noise", 30)
    cut.press("train.branch", epoch=1)
    branch = the_run(cut)
    assert branch is not origin
    done(cut, 3)
    rows = branch.snapshot.rows
    assert rows[:2] == origin.snapshot.rows[:2]
    assert rows[2]["cut"] is None
    assert (branch.recipe.dropout, branch.recipe.label_noise) == (0.2, 0.0)
    name = say("train.branched", title=recipes.title(branch.recipe), epoch=1)
    assert cut.at.get_by_key(f"name_{branch.token}").value == name


def test_there_is_no_branch_without_epochs_left(cut):
    assert cut.button("train.branch", epoch=4).disabled
    assert not cut.choose("epochs", 5).button("train.branch", epoch=4).disabled


def test_one_epoch_more_and_it_pauses_again(visit):
    visitor = visit("train", **{**SETTINGS, "epochs": "60"}).press("train.start")
    visitor.until(lambda: say("train.pause") in visitor.buttons())
    visitor.press("train.pause").until(lambda: say("train.step") in visitor.buttons())
    epoch = the_run(visitor).snapshot.epoch
    visitor.press("train.step")
    visitor.until(lambda: say("train.paused_after", epoch=epoch + 1, epochs=60) in visitor.words)
    visitor.press("train.stop")


def test_runs_are_named_compared_and_taken_home(cut, visit, downloads):
    first = the_run(cut)
    cut.at.get_by_key(f"name_{first.token}").set_value("With a cut")
    cut.run()
    done(cut.choose("cuts", "never").press("train.start"))
    second = the_run(cut)
    assert cut.at.query_params["runs"] == f"{first.token}.{second.token}"
    cut.choose("show", "kept")
    (frame,) = [each.value for each in cut.at.dataframe]
    assert list(frame["name"]) == ["With a cut", recipes.title(second.recipe)]
    (chart,) = cut.at.get("vega_lite_chart")
    spec = json.loads(chart.proto.spec)
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == list(frame["name"])
    again = visit("train", show="kept", runs=f"{first.token}.{second.token}")
    assert list(again.at.dataframe[0].value["name"]) == list(frame["name"])
    again.press("train.open")
    assert the_run(again) is second
    again.at.session_state["run"] = first.token
    again.run()
    table = pd.read_csv(io.BytesIO(downloads[f"{first.token}.csv"]()))
    assert list(table["epoch"]) == [0, 1, 2, 3, 4]
    assert list(table["cut"]) == [False, False, True, False, False]
    plan = json.loads(downloads[f"{first.token}.json"]())
    assert training.Training(**plan["recipe"]) == first.recipe
    assert [each["epoch"] for each in plan["cuts"]] == [2]
    weights = downloads[f"{first.token}-epoch-004.safetensors"]()
    assert weights == first.weights(4).read_bytes()


def test_nobody_sees_the_runs_of_another(cut, visit):
    other = visit("train", show="kept")
    assert say("train.kept_empty") in other.words
    assert not other.at.dataframe


SIDE = {
    "show": "side",
    "lab_dataset": "digits",
    "lab_images": "500",
    "lab_widths": "48, 32",
    "lab_epochs": "3",
    "lab_seeds": "2",
}


def the_contest(visitor):
    return jobs.registry().contest(visitor.at.session_state["lab"])


def test_before_a_comparison_the_page_says_what_to_do(visit):
    visitor = visit("train", show="side")
    assert say("train.compare_empty") in visitor.words
    assert say("train.honest") in visitor.words


def test_contenders_stand_side_by_side_the_best_on_top(visit):
    visitor = visit("train", **SIDE).press("train.compare_start")
    contest = the_contest(visitor)
    visitor.until(lambda: contest.snapshot.over and "Ahead: " in visitor.words)
    shot = contest.snapshot
    assert (shot.state, len(shot.results)) == ("done", 8)
    assert contest.recipe.label_noise == 0.4
    lines = sorted(lab.table(shot.results), key=lambda line: -line.gain)
    frame = visitor.at.dataframe[0].value
    assert list(frame["contender"]) == [say(f"train.contender.{x.contender}") for x in lines]
    assert frame["test"][0] == f"{100 * lines[0].test_accuracy:.1f} ± {100 * lines[0].spread:.1f}"
    gains = {line.contender: 100 * line.gain for line in lines}
    here = say(
        "train.honest_here",
        edge=gains["rmt-afterwards"],
        chosen=gains["rmt-chosen"],
        early=gains["early-stopping"],
    )
    assert here in visitor.words
    assert visitor.at.query_params["lab"] == contest.token


def test_a_comparison_is_stopped_found_again_and_resumed(visit, tmp_path):
    visitor = visit("train", **{**SIDE, "lab_epochs": "60"}).press("train.compare_start")
    contest = the_contest(visitor)
    visitor.until(lambda: len(contest.snapshot.results) >= 1)
    visitor.press("train.stop").until(lambda: say("train.resume") in visitor.buttons())
    kept = contest.snapshot.results
    other = Registry(tmp_path / "runs", slots=1).contest(contest.token)
    assert (other.snapshot.state, other.snapshot.results) == ("stopped", kept)
    visitor.press("train.resume")
    visitor.until(lambda: len(the_contest(visitor).snapshot.results) > len(kept))
    assert the_contest(visitor).snapshot.results[: len(kept)] == kept
    visitor.press("train.stop")


def test_how_long_it_takes_is_said_once_an_epoch_was_measured(visit):
    visitor = visit("train", **SIDE)
    assert say("train.long_unknown") in visitor.words
    visitor.press("train.compare_start")
    visitor.until(lambda: the_contest(visitor).snapshot.over and "Ahead: " in visitor.words)
    pace = jobs.registry().pace
    assert pace == the_contest(visitor).snapshot.pace > 0
    recipe = the_contest(visitor).recipe
    data, counted = recipe.data(), the_contest(visitor).snapshot.work
    assert 2 * counted == contests.work(recipe, 4, data)
    assert counted > 2 * recipe.epochs * contests.epoch_work(recipe, data)  # one run a seed
    assert say("train.long_unknown") not in visitor.words


@pytest.mark.parametrize("place", range(findings.MOST))
def test_the_studys_settings_are_taken_as_they_were(visit, place: int):
    found = findings.findings()[place]
    visitor = visit("train", show="side")
    assert found.found in visitor.words
    visitor.at.get_by_key(f"finding_{place}").click()
    visitor.run().press("train.compare_start")
    assert the_contest(visitor).recipe == found.recipe
    assert the_contest(visitor).seeds == found.cut.seeds
    visitor.press("train.stop")


def test_the_studys_figures_are_those_of_its_page():
    page = (findings.home() / "docs" / "study.md").read_text("utf-8")
    for each in findings.findings():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {each.title} |")]
        assert findings._points(each.cut) in line
        assert findings._points(each.beside) in line
    gains = [
        float(cell.split("±")[0])
        for cell in (line.rsplit("|", 2)[1] for line in page.splitlines() if "re-drawn |" in line)
    ]
    assert [100 * each.cut.gain for each in findings.findings()] == pytest.approx(
        sorted(gains, reverse=True)[: findings.MOST], abs=0.05
    )


def test_every_contender_has_its_words():
    names = [key for key in catalogue() if key.startswith("train.contender.")]
    assert sorted(names) == sorted(f"train.contender.{name}" for name in FULL)


FULL = tuple(lab.CONTENDERS)


def test_every_state_has_its_words_and_icon():
    states = {key.rpartition(".")[2] for key in catalogue() if key.startswith("train.state.")}
    assert states == {*live.ICONS, "pausing", "stopping"}


def test_a_run_that_fails_in_a_comparison_says_so(visit, monkeypatch):
    def fails(*args, **options):
        raise RuntimeError("secret of the machine room")
        yield

    monkeypatch.setattr(lab, "run", fails)
    visitor = visit("train", **SIDE).press("train.compare_start")
    visitor.until(lambda: visitor.errors != [])
    ((_, do),) = visitor.errors
    assert do == say("train.failed_do")
    assert "secret" not in visitor.words
    assert say("train.resume") in visitor.buttons()


def test_the_curves_of_a_finished_run_are_made_anew_from_their_tables(
    visit, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    figures = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda self: figures.append(self))
    visitor = visit("train", **SETTINGS | {"epochs": "2"}).press("train.start")
    visitor.until(lambda: say("train.done", epochs=2) in visitor.words)
    given = json.loads(visitor.at.get_by_key("save_curve_accuracy").proto.json)
    (tmp_path / f"{given['file']}.csv").write_text(given["table"], "utf-8")
    exec(given["code"], {})
    lines = {line.split(",", 1)[0] for line in given["table"].splitlines()[1:]}
    assert {str(x) for trace in figures[0].data for x in trace.x} == lines
    frame = json.loads(visitor.at.get_by_key("save_picture_live-spectrum").proto.json)
    assert "rmtviz.analyze" in frame["code"]
