"""Every page over a full, a half-filled, an empty and a missing lake, and what happens when one clicks."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests import in_browser

from phonolake.annotation import journal
from phonolake.store import query
from phonolake.store.lake import Lake

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"

PAGES = {path or "overview": heading for path, heading in in_browser.PAGES.items()}


def told(app: AppTest) -> str:
    """Every message on the page."""
    return "\n".join(box.value for kind in (app.info, app.error, app.warning) for box in kind)


@pytest.mark.parametrize("page", PAGES)
def test_a_full_lake_fills_every_page(open_page, full_lake: Path, page: str) -> None:
    app = open_page(full_lake, page)
    assert not app.exception
    assert not app.error
    assert [title.value for title in app.title] == [PAGES[page]]


@pytest.mark.parametrize("page", PAGES)
def test_a_lake_with_recordings_only_names_what_to_run(open_page, toy, half_lake: Path, page: str) -> None:
    app = open_page(half_lake, page, track=toy.track_id(0))
    assert not app.exception
    assert not app.error
    if page not in ("cooccurrence", "reannotate", "neighbours", "sql"):
        assert "phonolake " in told(app)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_lake_names_the_command_that_fills_it(open_page, empty_lake: Path, page: str) -> None:
    app = open_page(empty_lake, page)
    assert not app.exception
    assert not app.error
    if page != "sql":
        assert f"phonolake run MUSIC --lake {empty_lake}" in told(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_missing_lake_names_the_command_that_makes_it(open_page, missing_lake: Path, page: str) -> None:
    app = open_page(missing_lake, page)
    assert not app.exception
    assert f"phonolake run MUSIC --lake {missing_lake}" in told(app)


def test_a_study_shows_its_claims_and_tables(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "studies")
    assert [metric.value for metric in app.metric] == ["1", "0", "0"]
    claims, figures = (table.value for table in app.dataframe)
    assert list(claims["claim"]) == ["Decibels win."]
    assert list(figures["ours"]) == pytest.approx([0.8, 0.9])
    assert [box.value for box in app.subheader] == ["compression: Fig. 7"]


def test_without_a_lake_the_pages_say_how_to_name_one(open_page) -> None:
    app = open_page(None, "overview")
    assert not app.exception
    assert "phonolake dashboard --lake L" in told(app)


def test_a_damaged_lake_is_a_message(open_page, tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text("{")
    app = open_page(tmp_path, "explore")
    assert not app.exception
    assert "cannot be read" in app.error[0].value


def test_a_lost_shard_is_a_message(open_page, toy, tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, toy.recordings())
    shutil.rmtree(lake.folder("labels"))
    for page in ("overview", "explore"):
        app = open_page(lake.root, page)
        assert not app.exception
        assert app.error


# -- overview ----------------------------------------------------------------------------------------------------------


def test_overview_counts_and_explains(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "overview")
    assert [(metric.label, metric.value) for metric in app.metric] == [
        ("Tracks", str(toy.N_TRACKS)),
        ("Hours of audio", "0.1"),
        ("Labels by dataset", "3"),
        ("Left out", "2"),
    ]
    tables = [frame.value for frame in app.dataframe]
    rejects = next(table for table in tables if "reason" in table)
    assert set(rejects["reason"]) == {"empty", "silent"}
    figures = next(table for table in tables if "chance" in table)
    assert figures[["model", "metric", "mean", "chance"]].values.tolist() == [
        ["k2c2", "accuracy", 0.9, 0.4],
        ["random-forest", "accuracy", 0.9, 0.4],
    ]
    stored = next(table for table in tables if "n_bytes" in table)
    assert stored.set_index("table").loc["tracks", "n_rows"] == toy.N_TRACKS


# -- explore -----------------------------------------------------------------------------------------------------------


def listed(app: AppTest) -> list[str]:
    return next(frame.value for frame in app.dataframe if "duration_seconds" in frame.value)["track_id"].tolist()


def test_the_list_is_searched_and_sorted(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore")
    assert listed(app) == [toy.track_id(n) for n in range(toy.N_TRACKS)]
    app.selectbox(key="sort").set_value("duration").run()
    app.toggle(key="down").set_value(True).run()
    assert listed(app) == [toy.track_id(n) for n in reversed(range(toy.N_TRACKS))]
    app.text_input(key="text").set_value("7 söng").run()
    assert listed(app) == [toy.track_id(n) for n in (27, 17, 7)]
    app.text_input(key="text").set_value("100% no such_thing").run()
    assert "No track passes" in told(app)
    assert not app.exception


def test_long_lists_have_pages(open_page, toy, tmp_path: Path) -> None:
    rows = toy.recordings()
    rows["tracks"] = [rows["tracks"][0] | {"track_id": f"toy:{n:04}", "title": f"Song {n}"} for n in range(250)]
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    app = open_page(lake.root, "explore")
    assert listed(app) == [f"toy:{n:04}" for n in range(100)]
    app.pagination[0].set_value(3).run()
    assert listed(app) == [f"toy:{n:04}" for n in range(200, 250)]


def test_a_collection_of_one_year_has_no_years_to_choose(open_page, toy, tmp_path: Path) -> None:
    rows = toy.recordings()
    rows["tracks"] = [row | {"year": 1999} for row in rows["tracks"]]
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    app = open_page(lake.root, "explore", ranges="duration:10:15")
    assert not app.exception
    assert [slider.label for slider in app.slider] == ["Duration (s)"]


def test_the_list_is_filtered_by_label_and_duration(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore")
    assert app.selectbox(key="label").options[:2] == ["loud (20)", "<b>Odd</b> (10)"]
    app.selectbox(key="label").set_value(toy.CLASSES[2]).run()
    assert listed(app) == [toy.track_id(n) for n in range(2, toy.N_TRACKS, 3)]
    assert app.query_params["label"] in (toy.CLASSES[2], [toy.CLASSES[2]])
    app = open_page(full_lake, "explore", label=toy.CLASSES[2], ranges="duration:10:15;year:no:")
    assert not app.exception
    assert listed(app) == [toy.track_id(11), toy.track_id(14)]
    assert app.slider[0].value == (10.0, 15.0)
    app.slider[0].set_value((10.0, 13.0)).run()
    assert listed(app) == [toy.track_id(11)]
    app.slider[1].set_value((2014.0, app.slider[1].value[1])).run()
    assert "No track passes" in told(app)
    assert app.query_params["ranges"] in ("duration:10:13;year:2014:", ["duration:10:13;year:2014:"])
    app.slider[0].set_value((0.0, 15.0)).run()
    assert listed(app) == [toy.track_id(14)]
    app.selectbox(key="dataset").set_value("toy").run()
    assert listed(app) == [toy.track_id(14)]
    assert [button.label for button in app.download_button] == ["CSV", "Parquet", "M3U playlist", "Label file (CSV)"]


def test_columns_are_chosen_and_sorted_by(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore")
    app.multiselect(key="columns").set_value(["title", "track_id", "loudness"]).run()
    assert not app.exception
    assert (app.dataframe[0].value["loudness"] == -9).all()
    app.selectbox(key="sort").set_value("loudness").run()
    assert listed(app)[:2] == [toy.track_id(0), toy.track_id(1)]


def test_neighbours_keep_to_the_selection(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(4), ranges="duration:10:15")
    app.toggle(key="within").set_value(True).run()
    assert not app.exception
    opened = {button.key.removeprefix("open-") for button in app.button if (button.key or "").startswith("open-")}
    assert opened <= {toy.track_id(n) for n in range(9, 15)}
    assert opened


def test_the_map_shows_the_selection(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", by="Map", label="Rock", track=toy.track_id(4))
    assert not app.exception
    assert "10 of 30 tracks; the two axes" in "".join(caption.value for caption in app.caption)
    assert "No track on the map" in told(open_page(full_lake, "explore", by="Map", where="year < 1900"))


def test_a_shared_address_leads_to_its_track(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(4))
    assert app.subheader[0].value == "Song 4"
    assert len(app.get("audio")) == 1
    tags = next(frame.value for frame in app.dataframe if "probability" in frame.value)
    assert tags["label"].iloc[0] == toy.CLASSES[1]
    assert len([button for button in app.button if button.key.startswith("play-")]) == 8


def test_another_model_can_be_asked(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(4))
    # Both reach the same, on as many tracks; the newer is the network.
    assert app.selectbox(key="tagger").options == [
        "k2c2, spectrogram:mel-96-12k, accuracy 0.900 (30 tracks)",
        "random-forest, features:mfcc-120, accuracy 0.900 (30 tracks)",
    ]
    assert "had this track in its train part" in "".join(caption.value for caption in app.caption)
    app.selectbox(key="tagger").select_index(1).run()
    assert "was not trained on this track" in "".join(caption.value for caption in app.caption)


def test_neighbours_are_played_and_followed(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(4))
    # Not the track with the hostile title, which is shown otherwise than it is called.
    plays = [button for button in app.button if button.key.startswith("play-")]
    play = next(button for button in plays if not button.key.endswith(toy.track_id(1)))
    play.click().run()
    assert len(app.get("audio")) == 2
    neighbour = play.key.removeprefix("play-")
    next(button for button in app.button if button.key == f"open-{neighbour}").click().run()
    assert app.query_params["track"] == neighbour
    assert app.subheader[0].value == f"Song {int(neighbour[-3:])}"
    assert not app.exception


@pytest.mark.long
def test_the_map_is_laid_out_either_way(open_page, toy, full_lake: Path) -> None:
    for layout, said in (("Principal components", "the two axes explain"), ("t-SNE (slow)", "only nearness")):
        app = open_page(full_lake, "explore", by="Map", layout=layout)
        assert not app.exception
        assert f"{toy.N_TRACKS} tracks; {said}" in "".join(caption.value for caption in app.caption)


def test_an_unknown_track_is_a_message(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track="![x](http://example.com/x.png)")
    assert not app.exception
    assert r"No track '\!\[x\]" in told(app)


def test_a_path_in_the_address_is_no_track(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=str(APP))
    assert "No track" in told(app)


def test_names_are_text_and_never_markup(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(1))
    (title,) = [heading.value for heading in app.subheader if "bold" in heading.value]
    assert title.replace("\\", "") == toy.HOSTILE
    assert r"\<b\>" in title
    assert r"\!\[x\]\(" in title


def test_what_browsers_do_not_play_is_decoded(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "explore", track=toy.track_id(2))
    assert not app.exception
    assert "decoded to one channel" in "".join(caption.value for caption in app.caption)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_cooccurrence_ranks_pairs(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "cooccurrence")
    pairs = app.dataframe[0].value
    assert pairs.loc[0, ["label_i", "label_j", "c"]].tolist() == [toy.CLASSES[2], "loud", 1.0]
    app.number_input(key="least").set_value(toy.N_TRACKS).run()
    assert "No such pair" in "".join(caption.value for caption in app.caption)
    assert not app.exception


def test_cooccurrence_of_one_source_has_intervals_and_lift(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "cooccurrence")
    pair = app.dataframe[0].value.iloc[0]
    assert pair["c_low"] < pair["c"] == pair["c_high"] == 1
    assert pair["lift"] == pytest.approx(toy.N_TRACKS / 20)
    assert "a single label (of 2)" in told(open_page(full_lake, "cooccurrence", source="tags"))


def test_other_words_are_suggested(open_page, toy, full_lake: Path) -> None:
    """A class whose tracks are all slow, and the only slow ones, may be another word for it."""
    app = open_page(full_lake, "cooccurrence", list="Synonyms")
    assert not app.exception
    found = app.dataframe[0].value
    assert found[["label_i", "label_j", "reason"]].values.tolist() == [[toy.CLASSES[0], "slow", "tracks"]]


def test_cooccurrence_of_single_labels_says_so(open_page, toy, tmp_path: Path) -> None:
    rows = toy.recordings()
    rows["labels"] = [row for row in rows["labels"] if row["source"] == "dataset"]
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    assert "a single label (of 3)" in told(open_page(lake.root, "cooccurrence"))


def test_label_vectors_by_both_similarities(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "label_vectors")
    cosine = app.dataframe[0].value["similarity"].tolist()
    app.button_group(key="kind").set_value("dot").run()
    dot = app.dataframe[0].value["similarity"].tolist()
    assert len(cosine) == len(dot) == 3
    assert cosine != dot
    assert not app.exception


def test_label_vectors_beside_cooccurrence(open_page, toy, full_lake: Path) -> None:
    """Of classes none come together: there is no order to compare, and the page says so."""
    app = open_page(full_lake, "label_vectors", show="Beside co-occurrence")
    assert not app.exception
    assert "no order to compare" in told(app)
    assert app.metric[0].value == "-"
    rare = open_page(full_lake, "label_vectors", show="Disagreements", source="tags")
    assert not rare.exception
    assert "share\\: 0, and" in told(rare)


def test_the_planted_suspect_comes_first(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "label_noise")
    suspects = app.dataframe[0].value
    assert suspects.loc[0, ["track_id", "label", "instead"]].tolist() == [
        toy.track_id(3),
        toy.CLASSES[0],
        toy.CLASSES[1],
    ]
    assert len(app.get("audio")) == 1
    assert "**0** Folk and **10** Rock" in "".join(text.value for text in app.markdown)


def test_only_what_models_speak_against_is_listed(open_page, toy, full_lake: Path) -> None:
    """One label of thirty is wrong: the others, of which the models are sure, are no suspects."""
    app = open_page(full_lake, "label_noise")
    assert len(app.dataframe[0].value) == 1
    # By so few tracks it is as likely the model that is wrong.
    assert r"0 of 30 labels look wrong; of the 1 listed, about 0 \(0 to 1\) are" in "".join(
        t.value for t in app.markdown
    )
    assert 30 < app.dataframe[0].value.loc[0, "p_wrong"] < 50
    assert app.download_button[0].label == "Download all 1 (CSV)"


@pytest.mark.long
def test_suspects_are_answered_one_after_the_other(open_page, toy, full_lake: Path, tmp_path: Path) -> None:
    lake = Lake.open(shutil.copytree(full_lake, tmp_path / "lake"))
    app = open_page(lake.root, "label_noise", rater="ann")
    next(button for button in app.button if button.label == "Wrong").click().run()
    assert not app.exception
    assert "answered all 1" in "".join(box.value for box in app.success)
    missing = open_page(lake.root, "label_noise", rater="ann", kind="May be missing")
    next(button for button in missing.button if button.label == "Wrong").click().run()
    said = {(a.track_id, a.label): a.value for a in journal.standing(lake, "ann")}
    # It is not Folk, and it is Rock.
    assert said == {(toy.track_id(3), "Folk"): 0, (toy.track_id(3), "Rock"): 1}


def test_suspects_are_sent_to_a_blind_sample(open_page, toy, full_lake: Path, tmp_path: Path) -> None:
    lake = Lake.open(shutil.copytree(full_lake, tmp_path / "lake"))
    app = open_page(lake.root, "label_noise")
    next(button for button in app.button if button.label == "Send").click().run()
    assert not app.exception
    assert "has 2 questions" in "".join(box.value for box in app.success)
    with query.connect(lake) as connection:
        asked = connection.execute("SELECT track_id, label FROM samples WHERE sample LIKE 'suspects-%'").fetchall()
    assert (toy.track_id(3), toy.CLASSES[0]) in asked
    assert {label for _, label in asked} == {toy.CLASSES[0]}


def test_missing_labels_are_ranked_apart(open_page, toy, full_lake: Path) -> None:
    """What sounds like Rock and is called Folk lacks Rock; a link leads to that view."""
    app = open_page(full_lake, "label_noise", kind="May be missing", label=toy.CLASSES[1])
    suspects = app.dataframe[0].value
    assert suspects.loc[0, ["track_id", "label", "instead"]].tolist() == [toy.track_id(3), *toy.CLASSES[1::-1]]
    assert set(suspects["label"]) == {toy.CLASSES[1]}
    assert "Not labelled **Rock** but **Folk**" in "".join(text.value for text in app.markdown)


def test_noise_rates_are_listed_by_label(open_page, toy, full_lake: Path) -> None:
    app = open_page(full_lake, "label_noise", show="Noise rates")
    assert not app.exception
    rates = app.dataframe[0].value.set_index("label")
    assert list(rates.index) == ["all labels", *sorted(toy.CLASSES)]
    said = "".join(caption.value for caption in app.caption)
    assert "agree with 97% of the given labels" in said
    assert r"of the 30 labels are wrong \(95 % interval" in "".join(text.value for text in app.markdown)
    # One track of the ten that are called Folk sounds like Rock: that may be noise, and nothing else is.
    may_be = rates[["false_high", "missing_high"]] > 0.1
    assert may_be.loc[sorted(toy.CLASSES)].values.tolist() == [[False, False], [True, False], [False, True]]


def test_labels_are_validated_by_ear(open_page, toy, tmp_path: Path) -> None:
    rows = toy.recordings()
    rows["annotations"] = [
        {"track_id": toy.track_id(n), "label": "Folk", "value": int(n != 3), "rater": "ann", "sample": "one"}
        | {"annotated_at": datetime(2026, 1, 1, tzinfo=UTC)}
        for n in (0, 3, 6, 9, 1, 4)
    ]
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    app = open_page(lake.root, "label_noise", show="Checked by ear")
    assert not app.exception
    (row,) = app.dataframe[0].value.to_dict("records")
    assert (row["label"], row["n_positive"], row["n_negative"], row["n_given"]) == ("Folk", 4, 2, 10)
    assert (row["error_positive"], row["error_negative"]) == (0.25, 1.0)
    assert row["n_estimated"] == pytest.approx(10 * 0.75 + 20)


def test_nobody_listened_yet_says_where_to_begin(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "label_noise", show="Checked by ear")
    assert not app.exception
    assert "page Re\\-annotate" in told(app)


# -- sql ---------------------------------------------------------------------------------------------------------------


def ask(app: AppTest, sql: str) -> AppTest:
    app.text_area(key="sql").set_value(sql)
    return next(button for button in app.button if button.label == "Run").click().run()


def test_a_question_is_answered(open_page, full_lake: Path) -> None:
    app = ask(open_page(full_lake, "sql"), "SELECT label, count(*) AS n FROM labels GROUP BY label ORDER BY label")
    assert answer(app).values.tolist() == [
        ["<b>Odd</b>", 10],
        ["Folk", 10],
        ["Rock", 10],
        ["loud", 20],
        ["slow", 10],
    ]
    assert any(caption.value.startswith("5 rows (") for caption in app.caption)
    assert [button.label for button in app.download_button] == ["Download CSV", "Download Parquet"]


def answer(app: AppTest):
    """The rows that the page shows below the editor; above them is the schema."""
    return app.dataframe[-1].value


def test_large_rows_end_with_a_word(open_page, full_lake: Path) -> None:
    app = ask(open_page(full_lake, "sql"), "SELECT repeat('x', 1000000) AS x, range AS n FROM range(500)")
    assert not app.exception
    assert len(answer(app)) == 500
    assert answer(app)["x"][0] == "x" * 2000 + " … (1000000 characters)"
    app = ask(app, "SELECT " + ", ".join(f"repeat('x', 2000) AS x{n}" for n in range(50)) + " FROM range(900)")
    assert 0 < len(answer(app)) < 900
    assert any("more than 16 MB are not shown" in caption.value for caption in app.caption)


@pytest.mark.parametrize(("condition", "place"), [("year >> > 3", "> 3"), ("yaer > 3", "yaer > 3")])
def test_a_wrong_question_shows_where(open_page, full_lake: Path, condition: str, place: str) -> None:
    app = ask(open_page(full_lake, "sql"), f"SELECT 1\nFROM tracks WHERE {condition}")
    (block,) = app.code
    line, mark = block.value.splitlines()
    assert line == f"LINE 2: FROM tracks WHERE {condition}"
    assert line[mark.index("^") :] == place


@pytest.mark.long
def test_a_long_question_is_timed_and_stopped(open_page, full_lake: Path) -> None:
    app = ask(open_page(full_lake, "sql"), "SELECT count(*) FROM range(100000000) a, range(100000000) b")
    assert "Asking for" in "".join(text.value for text in app.markdown)
    app = next(button for button in app.button if button.label == "Cancel").click().run()
    assert "Stopped" in "".join(error.value for error in app.error)
    assert not [button for button in app.button if button.label == "Cancel"]
    assert answer(ask(app, "SELECT 7 AS n"))["n"].tolist() == [7]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT nosuch FROM tracks", "nosuch"),
        ("DROP VIEW tracks", "read-only"),
        ("FROM read_text('/etc/hostname')", "Permission Error"),
        ("SELECT 1; SELECT 2", "one SQL statement"),
        ("", "one SQL statement"),
    ],
)
def test_a_bad_question_is_one_line(open_page, full_lake: Path, sql: str, message: str) -> None:
    app = ask(open_page(full_lake, "sql"), sql)
    assert not app.exception
    (error,) = app.error
    assert message.lower().replace("-", r"\-") in error.value.lower()
    assert "\n" not in error.value


def test_long_results_are_cut_and_say_so(open_page, full_lake: Path) -> None:
    app = ask(open_page(full_lake, "sql"), "FROM range(5000)")
    assert len(answer(app)) == 1000
    assert any("The first 1,000 rows" in caption.value for caption in app.caption)


@pytest.mark.long
def test_examples_run(open_page, full_lake: Path) -> None:
    app = open_page(full_lake, "sql")
    for example in app.button_group(key="example").options:
        app.button_group(key="example").set_value(example.content if hasattr(example, "content") else example).run()
        sql = app.text_area(key="sql").value
        assert sql
        ask(app, sql)
        assert not app.exception
        assert not app.error, sql


def test_the_schema_has_meanings_with_units(open_page, empty_lake: Path) -> None:
    app = open_page(empty_lake, "sql")
    columns = app.dataframe[0].value.set_index("column")
    assert columns.loc["duration_seconds", "comment"].startswith("Decoded duration in seconds")
    app.selectbox(key="table").set_value("audio").run()
    assert "hertz" in app.dataframe[0].value.set_index("column").loc["sr", "comment"]


@pytest.mark.long
def test_what_is_not_for_commercial_use_says_so_or_is_left_out(
    open_page, toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.create(tmp_path / "lake")
    rows = toy.recordings() | toy.derived()
    for row in rows["models"]:
        row["card"] = '{"weights": {"licence": "CC-BY-NC-4.0"}}'
    toy.fill(lake, rows)
    track = {"track": toy.track_id(4)}
    pages = (("explore", track), ("explore", {"by": "Map"}), ("label_noise", {}), ("sql", {}), ("runs", {}))
    for page, asked in pages:
        captions = [str(caption.value) for caption in open_page(lake.root, page, **asked).caption]
        assert any("is not for commercial use" in caption for caption in captions), page
    monkeypatch.setenv("PHONOLAKE_LICENCE", "permissive")
    app = open_page(lake.root, "explore", **track)
    assert any(
        "Only models and vectors with licences of the kind permissive" in str(caption.value) for caption in app.caption
    )
    assert not any("is not for commercial use" in str(caption.value) for caption in app.caption)
    assert any("No model has predicted" in box.value for box in app.info)
