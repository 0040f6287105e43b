"""The pages Re-annotate, Runs, and what Explore and SQL learned since: clicks and their effect."""

import os
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from phonolake.annotation import journal, publication, sampling
from phonolake.store import query
from phonolake.store.lake import Lake

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"


def opened(lake: Path, page: str, **link: str) -> AppTest:
    """A page of the dashboard of a lake, by a link with these parameters."""
    os.environ["PHONOLAKE_LAKE"] = str(lake)
    app = AppTest.from_file(APP, default_timeout=30)
    for name, value in link.items():
        app.query_params[name] = value
    return app.switch_page(f"views/{page}.py").run()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONOLAKE_LAKE", "")


@pytest.fixture
def lake(full_lake: Path, tmp_path: Path) -> Lake:
    """A lake to answer in, with a sample of twelve questions."""
    copy = shutil.copytree(full_lake, tmp_path / "lake")
    sampling.draw(sampling.Config(str(copy), "twelve", n_positive=2, n_negative=2))
    return Lake.open(copy)


def told(app: AppTest) -> str:
    return "\n".join(box.value for kind in (app.info, app.error, app.warning, app.success) for box in kind)


def words(app: AppTest) -> str:
    """Everything that stands on the page, as far as it is text."""
    kinds = (app.markdown, app.caption, app.subheader, app.title, app.info)
    return "\n".join(str(block.value) for kind in kinds for block in kind)


def find(app: AppTest, key: str):
    """The button whose key begins with this: what follows names what it is about."""
    (found,) = [button for button in app.button if button.key and button.key.startswith(key)]
    return found


def click(app: AppTest, key: str) -> AppTest:
    return find(app, key).click().run()


# -- re-annotate -------------------------------------------------------------------------------------------------------


def test_without_a_sample_one_is_drawn(full_lake: Path, tmp_path: Path) -> None:
    lake = Lake.open(shutil.copytree(full_lake, tmp_path / "lake"))
    app = opened(lake.root, "reannotate")
    assert not app.exception
    app.multiselect[0].set_value(["Rock"])
    next(button for button in app.button if button.label == "Draw").click().run()
    assert not app.exception
    with query.connect(lake) as connection:
        assert connection.execute("SELECT DISTINCT label FROM samples").fetchall() == [("Rock",)]
    assert "Say who you are" in told(app)


@pytest.mark.long
def test_answers_are_kept_one_by_one(lake: Lake) -> None:
    app = opened(lake.root, "reannotate", sample="twelve", rater="anna")
    asked = []
    for key in ("answer-yes", "answer-no", "answer-skip"):
        asked.append(app.subheader[0].value)
        app = click(app, key)
        assert not app.exception
        assert len(journal.standing(lake, "anna")) == len(asked)
    found = journal.standing(lake, "anna")
    assert [a.value for a in found] == [1, 0, None]
    assert [a.label.replace("<", r"\<").replace(">", r"\>").replace("/", r"\/") for a in found] == asked
    app = click(app, "undo")
    assert len(journal.standing(lake, "anna")) == 2
    assert app.subheader[0].value == asked[-1]


@pytest.mark.long
def test_a_second_window_refuses_an_answer_to_what_was_answered_meanwhile(lake: Lake) -> None:
    """Both windows show the same question: the one that answers later is told so, and goes on with the next."""
    first, second = (opened(lake.root, "reannotate", sample="twelve", rater="anna") for _ in range(2))
    click(click(first, "answer-yes"), "answer-no")
    second = click(second, "answer-no")
    assert "answered this question in another window" in told(second)
    assert "Question 3 of 12" in words(second)
    assert [a.value for a in journal.standing(lake, "anna")] == [1, 0]
    click(second, "answer-no")
    first = click(first, "undo")
    assert "went on in another window" in told(first)
    assert [a.value for a in journal.standing(lake, "anna")] == [1, 0, 0]


@pytest.mark.long
def test_a_name_is_given_once_and_its_box_goes(lake: Lake) -> None:
    app = opened(lake.root, "reannotate", sample="twelve")
    box = next(box for box in app.text_input if box.label == "Your name")
    box.set_value(" anna ")
    app = next(button for button in app.button if button.label == "Begin").click().run()
    assert app.query_params["rater"] in ("anna", ["anna"])
    assert "Question 1 of 12" in words(app)
    assert not [box for box in app.text_input if box.label == "Your name"]
    app = next(button for button in app.button if button.label == "Not you?").click().run()
    next(box for box in app.text_input if box.label == "Your name").set_value("")
    app = next(button for button in app.button if button.label == "Begin").click().run()
    assert "a rater" in "".join(box.value for box in app.error).lower()


@pytest.mark.long
def test_a_reload_goes_on_where_it_was_and_publishes(lake: Lake) -> None:
    """And nothing before: a commit for every answer would make each wait."""
    click(click(opened(lake.root, "reannotate", rater="anna"), "answer-yes"), "answer-yes")
    assert "annotations" not in lake.versions()
    app = opened(lake.root, "reannotate", rater="anna")
    assert "Question 3 of 12" in words(app)
    with query.connect(lake) as connection:
        assert connection.execute("SELECT count(*) FROM annotations").fetchall() == [(2,)]


@pytest.mark.long
def test_the_page_does_not_tell_what_it_plays(lake: Lake) -> None:
    with query.connect(lake) as connection:
        tracks = connection.execute(
            "SELECT s.track_id, t.title, t.artist FROM samples s JOIN tracks t USING (track_id)"
        )
        secrets = {word for row in tracks.fetchall() for word in row}
    app = opened(lake.root, "reannotate", rater="anna")
    for _ in range(3):
        assert not [word for word in secrets if word in words(app)]
        assert len(app.get("audio")) == 1
        app = click(app, "answer-yes")


@pytest.mark.long
def test_a_finished_sample_says_so_and_shows_agreement(lake: Lake) -> None:
    sampling.draw(sampling.Config(str(lake.root), "six", n_positive=1, n_negative=1))
    for rater, keys in (("anna", ["answer-yes", "answer-no"]), ("bert", ["answer-yes", "answer-yes"])):
        app = opened(lake.root, "reannotate", rater=rater, sample="six")
        for n in range(6):
            app = click(app, keys[n % 2])
        assert f"{rater} has answered every question" in told(app)
        assert find(app, "answer-yes").disabled
    app = opened(lake.root, "reannotate", rater="anna", sample="six")
    agreed = next(frame.value for frame in app.dataframe if "kappa" in frame.value)
    assert agreed.loc[0, ["rater_a", "rater_b", "label", "n", "agreed"]].tolist() == [
        *("anna", "bert", "all labels", 6, 0.5),
    ]


def test_an_answer_that_cannot_be_kept_is_a_message(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(lake.root, "reannotate", rater="anna")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        app = click(app, "answer-yes")
    assert not app.exception
    assert "was not kept" in told(app)
    assert "Question 1 of 12" in words(app)


@pytest.mark.long
def test_triplets_are_drawn_answered_and_measured(lake: Lake) -> None:
    """Two windows of one rater: the later answer to the same triplet is refused."""
    app = opened(lake.root, "neighbours")
    next(button for button in app.button if button.label == "Draw").click().run()
    assert not app.exception
    assert "Say who you are" in told(app)
    first, second = (opened(lake.root, "neighbours", rater="anna") for _ in range(2))
    with query.connect(lake) as connection:
        secrets = {
            word for row in connection.execute("SELECT track_id, title, artist FROM tracks").fetchall() for word in row
        }
    assert not [word for word in secrets if word in words(first)]
    assert len(first.get("audio")) == 3
    first = click(first, "answer-a")
    assert "Triplet 2 of 30" in words(first)
    second = click(second, "answer-b")
    assert "answered this question in another window" in told(second)
    click(second, "answer-skip")
    assert [answer.value for answer in journal.compared(lake, "anna")] == [1, None]
    app = opened(lake.root, "neighbours", rater="anna")
    figures = next(frame.value for frame in app.dataframe if "agreed" in frame.value)
    assert figures.loc[0, ["model", "n_triplets", "n_raters", "drawn"]].tolist() == ["k2c2", 1, 1, "at random"]
    assert figures.loc[0, "agreed"] in (0, 0.5, 1)
    app = click(app, "undo")
    assert [answer.value for answer in journal.compared(lake, "anna")] == [1]


@pytest.mark.long
def test_several_samples_wait_for_a_choice(lake: Lake) -> None:
    sampling.draw(sampling.Config(str(lake.root), "another", n_positive=1, n_negative=1))
    assert "Choose a sample" in told(opened(lake.root, "reannotate", rater="anna"))
    assert "of 6" in words(opened(lake.root, "reannotate", rater="anna", sample="another"))


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["Curves", "Classes", "Confusion", "ROC", "Compare"])
@pytest.mark.parametrize("run", ["NETWORK", "FOREST"])
def test_every_part_of_a_run(toy, full_lake: Path, part: str, run: str) -> None:
    app = opened(full_lake, "runs", run=getattr(toy, run), show=part)
    assert not app.exception
    assert not app.error
    assert app.query_params["run"] in (getattr(toy, run), [getattr(toy, run)])
    assert app.metric[0].value == "0.900"


def test_the_tracks_behind_a_cell_are_played(toy, full_lake: Path) -> None:
    app = opened(full_lake, "runs", run=toy.FOREST, show="Confusion")
    assert (app.selectbox(key="given").value, app.selectbox(key="called").value) == ("Folk", "Rock")
    key = f"confused-{toy.FOREST}-Folk-Rock"
    (playlist,) = [frame.value for frame in app.dataframe if "track_id" in frame.value]
    assert playlist["track_id"].tolist() == [toy.track_id(3)]
    app.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    assert len(app.get("audio")) == 1


def test_two_runs_are_compared_on_what_both_scored(toy, full_lake: Path) -> None:
    app = opened(full_lake, "runs", run=toy.NETWORK, show="Compare")
    assert "On the 6 test tracks" in words(app)


# -- explore and sql ---------------------------------------------------------------------------------------------------


def test_a_condition_filters_and_a_wrong_one_is_a_message(full_lake: Path, toy) -> None:
    app = opened(full_lake, "explore", where="year >= 2028")
    lines = next(frame.value for frame in app.dataframe if "duration_seconds" in frame.value)
    assert lines["track_id"].tolist() == [toy.track_id(28), toy.track_id(29)]
    app = opened(full_lake, "explore", where="no_such > 1", track=toy.track_id(4))
    assert "no\\_such" in told(app)
    assert app.subheader[0].value == "Song 4"


@pytest.mark.long
def test_the_map_and_the_upload_open_without_a_choice(full_lake: Path, half_lake: Path) -> None:
    app = opened(full_lake, "explore", by="Map")
    assert "30 tracks; the two axes" in words(app)
    assert "no embeddings yet" in told(opened(half_lake, "explore", by="Map"))
    assert "Drop an audio file" in words(opened(full_lake, "explore", by="Recording"))
    assert "Describe a sound in words" in words(opened(full_lake, "explore", by="Words"))
    assert "reads texts" in told(opened(full_lake, "explore", by="Words", words="slow piano"))


@pytest.mark.long
def test_the_map_is_coloured_by_what_is_asked_for(full_lake: Path) -> None:
    app = opened(full_lake, "explore", by="Map")
    colour = next(box for box in app.selectbox if box.label == "Colour by")
    assert colour.value == "label:dataset"
    assert "colour" not in app.query_params
    for name in ("prediction:k2c2-0", "doubt", "split:folds", "year", "loudness"):
        app = next(box for box in app.selectbox if box.label == "Colour by").set_value(name).run()
        assert not app.exception
        assert not app.error
        assert app.query_params["colour"] in (name, [name])
        assert "30 tracks; the two axes" in words(app)
    app = opened(full_lake, "explore", by="Map", colour="doubt")
    assert next(box for box in app.selectbox if box.label == "Colour by").value == "doubt"


def test_labels_over_time_are_computed_when_they_are_opened(full_lake: Path, half_lake: Path, toy) -> None:
    app = opened(full_lake, "explore", track=toy.track_id(4))
    assert "one prediction for each" not in words(app)
    app.session_state["taggram"] = True
    app.run()
    assert not app.exception
    assert "one prediction for each" in words(app)


def test_a_link_brings_a_question_that_is_asked_when_told_to(full_lake: Path) -> None:
    app = opened(full_lake, "sql", sql="SELECT track_id FROM tracks ORDER BY 1 LIMIT 2")
    assert app.text_area(key="sql").value.startswith("SELECT track_id")
    assert not [frame for frame in app.dataframe if "track_id" in frame.value]
    next(button for button in app.button if button.label == "Run").click().run()
    assert any("track_id" in frame.value for frame in app.dataframe)
    assert app.selectbox(key="earlier").options


@pytest.mark.long
def test_published_answers_change_what_is_resolved(lake: Lake) -> None:
    click(opened(lake.root, "reannotate", rater="anna"), "answer-yes")
    publication.publish(lake)
    app = opened(lake.root, "sql", sql="SELECT count(*) AS n FROM labels_resolved WHERE annotated IS NOT NULL")
    next(button for button in app.button if button.label == "Run").click().run()
    assert app.dataframe[-1].value["n"].tolist() == [1]
