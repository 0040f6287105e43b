"""Datasets as they lie on disks: tables that a spreadsheet saved again, clips in other containers, lists of Windows."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.records import Recording, Seconds
from phonolake.sources import contract
from phonolake.synthesis import fma
from phonolake.synthesis.layouts import contract as layouts

pytestmark = pytest.mark.timeout(60)

# Tables with a header, and the columns that a spreadsheet takes for truths and for quantities.
TABLES = {
    "esc50": ("meta/esc50.csv", ["esc10"], ["fold", "target", "src_file"]),
    "urbansound8k": ("metadata/UrbanSound8K.csv", [], ["fold", "fsID", "salience", "classID", "start", "end"]),
    "magnatagatune": ("annotations_final.csv", ["guitar", "techno", "opera", "beat"], ["clip_id", "rock"]),
    "audioset": ("class_labels_indices.csv", [], ["index"]),
}
SPELT = {
    "True": ("TRUE", "true", "WAHR", "1"),
    "False": ("FALSE", "false", "FALSCH", "0"),
    "1": ("TRUE", "1.0"),
    "0": ("FALSE",),
}


def make(name: str, root: Path) -> Path:
    """The tables of a small corpus, and its audio as empty files."""
    config = layouts.Config(name, 26)
    clips = layouts.plan(config)
    layouts.write_metadata(clips, config, root)
    for clip in clips:
        layouts.audio_path(clip, root).parent.mkdir(parents=True, exist_ok=True)
        layouts.audio_path(clip, root).touch()
    return root


def listed(name: str, root: Path) -> list[Recording]:
    return list(contract.get(name).recordings(root))


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("spelt")
    return {name: make(name, folder / name) for name in TABLES}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(sorted(TABLES)))
def test_a_table_that_a_spreadsheet_saved_again_says_the_same(
    trees: dict[str, Path], data: st.DataObject, name: str
) -> None:
    table, truths, numbers = TABLES[name]
    path = trees[name] / table
    original, expected = path.read_bytes(), listed(name, trees[name])
    delimiter = "\t" if b"\t" in original else ","
    header, *rows = csv.reader(io.StringIO(original.decode()), delimiter=delimiter)
    truthful = data.draw(st.integers(0, 3))
    quantities = data.draw(st.sampled_from(["{}", "{}.0", "{},0"]))

    def cell(column: str, value: str) -> str:
        if column in truths and value in SPELT:
            return SPELT[value][truthful % len(SPELT[value])]
        return quantities.format(value) if column in numbers and value.isdigit() else value

    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=data.draw(st.sampled_from([",", "\t", ";"])),
        lineterminator=data.draw(st.sampled_from(["\n", "\r\n", "\r"])),
        quoting=data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    more = [""] * data.draw(st.integers(0, 2))
    writer.writerows([header + more, *([*map(cell, header, row), *more] for row in rows)])
    path.write_bytes(text.getvalue().encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))))
    try:
        assert listed(name, trees[name]) == expected
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("name", [n for n in layouts.layouts() if n not in ("msd", "extended_ballroom")] + ["fma"])
def test_a_known_name_in_another_container_is_the_clip(name: str, tmp_path: Path) -> None:
    ending = "WAV" if name not in ("esc50", "urbansound8k") else "flac"
    root = tmp_path / name
    if name == "fma":
        config = fma.Config(n_tracks=16, duration=Seconds(1.0))
        tracks = fma.plan(config)
        fma.write_metadata(tracks, config, root)
        for track in tracks:
            fma.audio_path(track, root).parent.mkdir(parents=True, exist_ok=True)
            fma.audio_path(track, root).touch()
    else:
        make(name, root)
    before = listed(name, root)
    for recording in before:
        recording.path.rename(recording.path.with_suffix(f".{ending}"))
    after = listed(name, root)
    assert [replace(r, path=root) for r in after] == [replace(r, path=root) for r in before]
    assert [r.path for r in after] == [r.path.with_suffix(f".{ending}") for r in before]
    # A text of the same name is none; these two name only what is there.
    if name not in ("gtzan", "esc10"):
        for recording in after:
            recording.path.rename(recording.path.with_suffix(".txt"))
        assert not any(r.path.exists() for r in listed(name, root))


@pytest.mark.parametrize("place", ["genres", "genres_original", "Data/genres_original", "Data/genres", "."])
@pytest.mark.parametrize(
    "form", ["blues.00003.wav", "blues.00003.WAV", "blues00003.wav", "blues_00003.mp3", "blues-00003.au"]
)
def test_gtzan_in_the_forms_of_its_copies(place: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / place / "blues" / form
    path.parent.mkdir(parents=True)
    path.touch()
    for part in ("train", "valid", "test"):
        (tmp_path / "splits" / "mine").mkdir(parents=True, exist_ok=True)
        entry = {"train": r"blues\blues.00003.wav", "valid": "blues/blues.00004.wav", "test": '"blues/blues.00005.wav"'}
        text = f"filename\r\n{entry[part]}\r\n"
        (tmp_path / "splits" / "mine" / f"{part}_filtered.txt").write_text(text, newline="")
    found = {r.source_id: (r.path.is_file(), r.labels, r.splits) for r in contract.get("gtzan").recordings(tmp_path)}
    assert found["blues.00003"] == (True, ("blues",), (("mine", "train", None),))
    assert found["blues.00005"] == (False, ("blues",), (("mine", "test", None),))
    assert len(found) == 3


# -- FMA --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fma")
    config = fma.Config(n_tracks=16, duration=Seconds(1.0))
    fma.write_metadata(fma.plan(config), config, root)
    (root / "fma_small").mkdir(exist_ok=True)
    return root


HEADERS = ["{0}.{1}", "{0}_{1}", "('{0}', '{1}')", "{0},{1}", "{0} {1}", "{0}/{1}"]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [(None, ";"), (None, "\t"), ("numbered", ","), *((h, d) for h, d in zip(HEADERS, ",;\t" * 2, strict=True))],
)
def test_fma_with_other_headers_and_between_other_cells(corpus: Path, header: str | None, delimiter: str) -> None:
    path = corpus / "fma_metadata" / "tracks.csv"
    original, expected = path.read_bytes(), listed("fma", corpus)
    table = pd.read_csv(path, index_col=0, header=[0, 1], dtype=str, keep_default_na=False)
    if header == "numbered":
        # As pandas reads two header rows when it is told of one, and writes them.
        plain = pd.read_csv(path, dtype=str, keep_default_na=False)
        text = plain.to_csv(sep=delimiter, index=False)
        assert re.search(r"track\.\d", text)
    else:
        if header is not None:
            table.columns = [header.format(*column) for column in table.columns]
        table.index = [f"{int(i)}.0" for i in table.index] if header else table.index
        text = table.to_csv(sep=delimiter)
    path.write_text(text, encoding="utf-8-sig")
    try:
        assert listed("fma", corpus) == expected
    finally:
        path.write_bytes(original)
