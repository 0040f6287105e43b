"""Networks that read a spectrogram of the user's own: from extract to a score, and what is refused before training."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake import execution
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import configuration, contract
from phonolake.features.configuration import Configuration
from phonolake.inference import inputs, products
from phonolake.inference.predictor import Predictor
from phonolake.models import storage
from phonolake.stages import extract, fitting, score, train
from phonolake.store import catalog, trained
from phonolake.store.lake import Lake

from .small_lake import make
from .test_large_files import in_process

pytestmark = pytest.mark.timeout(120)

OWN = "mine:sr=4000,n_fft=256,hop_length=100,n_mels=96,fmin=20"
ODD = "odd:sr=4000,n_fft=256,hop_length=100,n_mels=40"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(execution, "imap", in_process)
    made = make(tmp_path / "lake")
    extract.run(extract.Config(str(made.root), configurations=(OWN, ODD)))
    return made


def plan(lake: Lake, model: str = "k2c2", **wanted: Any) -> fitting.Task:
    (task,) = train.plan(train.Config(str(lake.root), model, **wanted))
    return task


@pytest.mark.long
@pytest.mark.parametrize("from_audio", [False, True])
def test_a_network_learns_and_scores_from_it(lake: Lake, from_audio: bool) -> None:
    task = plan(lake, input="spectrogram:mine", from_audio=from_audio, max_epochs=5)
    assert task.input == ("computed:" if from_audio else "spectrogram:") + OWN
    assert task.n_steps == 41  # of a second
    fitting.train_model(task)
    card = storage.read_card(task.folder / trained.WEIGHTS)
    assert card["input"] == task.input
    assert {row["value"] for row in card["metrics"] if row["part"] == "test" and row["metric"] == "accuracy"} == {1.0}
    model = storage.load(task.folder / trained.WEIGHTS)
    wanted = score.Task(lake.place, task.run_id, "k2c2", "k2c2", task.files[0], False, None, False)
    score.score_one(wanted, Predictor.of(model))
    assert lake.path("predictions", score.predictions_of(task.run_id, False).stem(task.files[0])).is_file()


def test_it_is_another_run_than_with_the_networks_own(lake: Lake) -> None:
    own = plan(lake)
    assert plan(lake, input="spectrogram:mel-96-12k").run_id == own.run_id
    assert plan(lake, input="spectrogram:mine").run_id != own.run_id


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        ("k2c2", "odd", "k2c2 is made for the 96 bands of mel-96-12k, and odd has 40 bands"),
        ("k2c2", "mel-96-picture", "k2c2 is made for the 96 bands of .*has 3 channels of 216 bands in 216 frames"),
        ("k2c2", "mien", "unknown spectrogram 'mien'. Did you mean 'mine'"),
        ("k2c2", "mel-96-12k-per-1000ms", "has several spectrograms of each track, and k2c2 reads one"),
        ("random-forest", "mine", "--spectrogram is for networks that read spectrograms"),
        ("sample-3-9", "mine", "reads audio:22050: --spectrogram is for networks"),
    ],
)
def test_what_cannot_be_read_is_said_before_training(
    lake: Lake, model: str, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(lake, model, input=f"spectrogram:{name}")
    assert main(["train", model, "--spectrogram", name, "--lake", str(lake.root)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1


def test_one_that_is_no_longer_there_is_named(lake: Lake) -> None:
    text = OWN.replace("mine", "gone")
    with pytest.raises(PhonolakeError, match=f"no gone yet: run `phonolake extract --spectrogram-config {text}`"):
        inputs.parse(f"spectrogram:{text}").files(lake)


@settings(max_examples=60)
@given(
    st.sampled_from([0, 0.0, 30, 30.5]),
    st.sampled_from([None, 4000, 3999.5]),
    st.sampled_from([1.0, 2.0, 1, 2]),
    st.sampled_from(["decibel", "log", "log10", "linear"]),
    st.sampled_from([None, 60, 80.0]),
    st.sampled_from(["constant", "reflect"]),
)
def test_the_text_of_a_configuration_is_that_configuration(
    fmin: float, fmax: float | None, power: float, scale: Any, top_db: float | None, pad_mode: Any
) -> None:
    config = Configuration(
        8000, 512, 128, 64, fmin=fmin, fmax=fmax, power=power, scale=scale, top_db=top_db, pad_mode=pad_mode
    )
    name, again = configuration.from_text(configuration.as_text("mine", config))
    # Also to the type of its numbers, which the version of a shard hangs on.
    assert (name, repr(again)) == ("mine", repr(config))
    assert contract.spectrogram(configuration.as_text("mine", config)).config == config


def test_a_lake_from_before_there_were_mirrored_ends_goes_on(lake: Lake) -> None:
    """The version is part of the names of shards: at what was usual then it is the one of then."""
    assert products.product(contract.spectrogram(OWN)).version == "9225ac3c"
    mirrored = contract.spectrogram(OWN + ",pad_mode=reflect")
    assert products.product(mirrored).version != products.product(contract.spectrogram(OWN)).version


def test_the_lake_says_what_was_read(lake: Lake) -> None:
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT DISTINCT spectrogram, n_bands FROM spectrograms ORDER BY ALL").fetchall()
    assert rows == [("mel-96-12k", 96), ("mine", 96), ("odd", 40)]
    values = contract.spectrogram(OWN).of(np.zeros(4000, np.float32))
    assert values.shape == (96, 41)
