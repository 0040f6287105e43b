"""Where a table holds probabilities: rows and columns say the same, and what is no probability is named."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import label_sheets, probability_sheets
from phonolake.sources.names import Named, Names
from phonolake.sources.probability_sheets import ProbabilityColumns

NAMES = Names(Named(f"toy:{n:03d}", f"{n:03d}", f"music/{n:03d}.wav") for n in range(4))
LABELS = ("Rock", "Folk", "Trip hop")


def read(path: Path, **columns: str) -> dict[tuple[str, str], float]:
    """What a table says, by recording and label."""
    choice = ProbabilityColumns(**columns)
    keyed = label_sheets.key(path, NAMES, choice.id_column)
    found = list(probability_sheets.given(keyed, probability_sheets.find(keyed, choice)))
    said = {(one.name, one.label): one.value for one in found}
    assert len(said) == len(found)
    return said


def write(path: Path, p_NK: np.ndarray, *, form: str) -> Path:
    """Probabilities of recordings 000, 001 ... in one of the ways in which people keep them."""
    wide = [{"file": f"{n:03d}.wav", **dict(zip(LABELS, p_K, strict=True))} for n, p_K in enumerate(p_NK.tolist())]
    long = [{"track": row["file"], "label": k, "probability": row[k]} for row in wide for k in LABELS]
    rows = long if form.startswith("long") else wide
    if form.endswith("parquet"):
        pd.DataFrame(rows).to_parquet(path)
    elif form.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=";" if "semicolons" in form else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    p=st.lists(st.floats(0, 1), min_size=12, max_size=12),
    form=st.sampled_from(["long csv", "wide csv", "wide semicolons", "long parquet", "wide parquet", "long jsonl"]),
)
def test_rows_and_columns_say_the_same(p: list[float], form: str, tmp_path: Path) -> None:
    p_NK = np.array(p).reshape(4, 3)
    ending = form.split()[1]
    path = write(tmp_path / f"p.{ending if ending in ('parquet', 'jsonl') else 'csv'}", p_NK, form=form)
    said = read(path)
    assert said == {(f"{n:03d}.wav", k): p_NK[n, i] for n in range(4) for i, k in enumerate(LABELS)}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wrong=st.one_of(st.floats(1.001, 1e9), st.floats(-1e9, -0.001), st.sampled_from([np.nan, np.inf, "", "loud"])))
@pytest.mark.parametrize("wide", [True, False])
def test_what_is_no_probability_is_named_with_its_line(wrong: object, wide: bool, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    header, cell = ("id,Rock,Folk", f"002,0.5,{wrong}") if wide else ("id,label,score", f"002,Folk,{wrong}")
    first = "001,0.5,0.5" if wide else "001,Folk,0.5"
    path.write_text(f"{header}\n{first}\n{cell}\n")
    with pytest.raises(UsageError, match=r"p.csv, line 3: the probability of 'Folk' (should be|is missing)"):
        read(path)


def test_rounding_of_programs_is_borne(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,Rock,Folk\n001,1.0000001,-1e-9\n")
    assert read(path) == {("001", "Rock"): 1.0, ("001", "Folk"): 0.0}


def test_columns_of_something_else_are_passed_over_and_said(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,title,fold,Rock,comment,Folk\n001,A,3,0.5,loud,0.25\n")
    keyed = label_sheets.key(path, NAMES)
    layout = probability_sheets.find(keyed, ProbabilityColumns())
    said = probability_sheets.understood(keyed, layout)
    assert "each of 2 columns is a label ('Rock', 'Folk'); passed over: 'title', 'fold', 'comment'" in said


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("clip,what,how sure\n001,Rock,0.5\n")
    with pytest.raises(UsageError, match="--label-column, --probability-column"):
        read(path)
    assert read(path, label_column="what", probability_column="how sure") == {("001", "Rock"): 0.5}
    with pytest.raises(UsageError, match="unknown column of"):
        read(path, label_column="label")


def test_a_label_that_is_missing_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,label,p\n001,Rock,0.5\n002,,0.5\n")
    with pytest.raises(UsageError, match="line 3: label is empty"):
        read(path)
