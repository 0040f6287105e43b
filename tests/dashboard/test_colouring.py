"""What the map is coloured by, against what is in the lake."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from phonolake import dashboard_launcher
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import held_out
from phonolake.store import query
from phonolake.store.lake import Lake

sys.path.insert(0, str(dashboard_launcher.app().parent))
import charts
import colouring


@pytest.fixture
def connection(full_lake: Path):
    with query.connect(Lake.open(full_lake)) as found:
        yield found


def groups(connection, name: str, ids: list[str]) -> list[str]:
    return told(coloured(connection, name, ids))


def coloured(connection, name: str, ids: list[str]) -> colouring.Colouring:
    return colouring.of(connection, name, ids, colouring.offered(connection))


def told(colours: colouring.Colouring) -> list[str]:
    """What is told of each track."""
    return [colours.said[k] for k in colours.which]


def test_a_lake_offers_what_it_has(connection, half_lake: Path) -> None:
    found = colouring.offered(connection)
    assert list(found)[:8] == [
        *("label:dataset", "label:tags", "prediction:k2c2-0", "prediction:random-forest-0", "doubt", "split:folds"),
        *("duration", "year"),
    ]
    assert found["prediction:k2c2-0"] == "Predicted label (k2c2, spectrogram:mel-96-12k)"
    with query.connect(Lake.open(half_lake)) as half:
        assert list(colouring.offered(half))[:4] == ["label:dataset", "label:tags", "split:folds", "duration"]
        with pytest.raises(UsageError, match="unknown colour 'doubt'"):
            coloured(half, "doubt", [])


def test_each_name_says_what_it_stands_for(connection, toy: ModuleType) -> None:
    """The third track says Folk, and both models hear Rock."""
    ids = [toy.track_id(n) for n in (3, 1, 0)]
    assert groups(connection, "label:dataset", [*ids, "toy:none"]) == ["Folk", "Rock", "Folk", "no label"]
    assert groups(connection, "label:tags", ids) == ["slow", "loud", "slow"]
    assert groups(connection, "prediction:k2c2-0", ids) == ["Rock", "Rock", "Folk"]
    assert groups(connection, "split:folds", ids) == ["fold 4", "fold 2", "fold 1"]
    assert groups(connection, "year", ids) == ["Year 2003", "Year 2001", "Year 2000"]
    assert groups(connection, "loudness", ids[:1]) == ["Loudness (dBFS, RMS) -9"]


def test_of_several_labels_the_commonest_counts_and_of_folds_the_one_that_held_out(connection) -> None:
    said = "SELECT 'a' AS track_id, unnest(['rare', 'common']) AS label, 1 AS value, 'x' AS source UNION ALL "
    connection.execute(f"CREATE OR REPLACE TEMP VIEW labels AS {said} SELECT 'b', 'common', 1, 'x'")
    assert groups(connection, "label:x", ["a"]) == ["common"]
    # The folds of one training: they started together.
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW models AS SELECT run_id, 'm' AS model, 'i' AS input, 's' AS split, "
        "fold AS test_fold, '{}'::JSON AS card, ['x'] AS labels FROM (VALUES ('r1', 1), ('r2', 2)) AS t(run_id, fold)"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW runs AS SELECT run_id, now() AS started_at, now() AS finished_at FROM models"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW predictions AS SELECT 'a' AS track_id, * FROM (VALUES "
        "('r1', 'remembered', .9, 'train'), ('r1', 'no', .1, 'train'), "
        "('r2', 'heard', .6, 'test'), ('r2', 'no', .4, 'test'), ('other', 'else', 1, 'test')) "
        "AS t(run_id, label, probability, part)"
    )
    assert groups(connection, "prediction:r1", ["a", "b"]) == ["heard", "no prediction"]


def test_doubt_is_that_of_the_label_which_models_speak_against(connection, toy: ModuleType) -> None:
    """Only the third track is doubted: .8 for another class, .1 for its own."""
    ids = [toy.track_id(n) for n in range(toy.N_TRACKS)]
    colours = coloured(connection, "doubt", ids)
    assert told(colours)[3] == "Label doubt (0 to 1) 0.7"
    assert set(told(colours)[:3] + told(colours)[4:]) == {"Label doubt (0 to 1) 0"}
    assert held_out.read_held_out(connection).track_ids == tuple(ids)
    # What is doubted lies above the rest.
    assert colours.codes[3] == 0 < colours.codes[0]


def test_eight_groups_have_a_colour_and_the_others_share_one() -> None:
    """The commonest first, whatever their names; colours stay with them when some tracks are shown."""
    many = [f"g{k}" for k in range(10) for _ in range(20 - k)] + [None]
    colours = colouring.by_group(pa.array(many), lacking="none")
    assert colours.names == (*(f"g{k}" for k in range(8)), "other", "none")
    assert len(colours.colors) == len(colours.names)
    assert colours.codes.tolist() == [min(k, 8) for k in range(10) for _ in range(20 - k)] + [9]
    some = colours.of([25, 0, len(many) - 1])
    assert (some.codes.tolist(), told(some)) == ([1, 0, 9], ["g1", "g0", "none"])
    assert some.names == colours.names


@pytest.mark.parametrize("n", [1, 2, 500])
def test_numbers_have_shades_in_their_order(n: int) -> None:
    number_N = np.append(np.linspace(-3, 1200, n), np.nan)
    colours = colouring.by_number("Hertz", number_N)
    assert (np.diff(colours.codes[:-1].astype(int)) <= 0).all()
    assert colours.colors[colours.codes[-1]] == charts.PALE
    assert told(colours)[-1] == "no number"
    assert colours.names == ("no number",)
    if n == 500:
        # One in a hundred at each end shares the colour of the end.
        assert colours.ends == ("≤ 6.64", "≥ 1190")
        assert colours.colors[colours.codes[0]] == charts.NUMBERS[0]
        assert colours.colors[colours.codes[-2]] == charts.NUMBERS[-1]


def test_without_any_number_there_is_no_scale() -> None:
    colours = colouring.by_number("Year", np.full(3, np.nan))
    assert colours.ends is None
    assert colours.codes.tolist() == [colouring.N_SHADES] * 3


def test_what_cannot_be_told_is_an_error(connection) -> None:
    with pytest.raises(PhonolakeError, match="unknown colour"):
        coloured(connection, "prediction:nobody", [])
