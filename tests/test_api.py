"""The lake in Python gives what the tables hold, in order, and a data set of torch gives each track once."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import phonolake
from phonolake.errors import UsageError


@pytest.fixture(scope="module")
def lake(demo):
    return phonolake.open(demo / "lake")


def test_rows_come_in_order_of_their_ids(lake) -> None:
    ids = sorted(track_id for (track_id,) in lake.sql("SELECT track_id FROM tracks").fetchall())
    labels, vectors = lake.labels_matrix(), lake.embeddings()
    for found in (
        *(list(frame.index) for frame in (lake.tracks(), lake.features("mfcc-120"), lake.predictions())),
        *(list(own) for own in (labels.track_ids, vectors.track_ids)),
    ):
        assert found == ids
    said = lake.sql("SELECT label FROM labels WHERE source = 'dataset' ORDER BY track_id").fetchall()
    assert [labels.labels[k] for k in labels.Y_NL.toarray().argmax(axis=1)] == [label for (label,) in said]
    assert len(lake.tracks(where="track_id > 'fma:000050'")) < len(ids)


def test_values_are_those_of_the_tables(lake) -> None:
    (track_id, value), *_ = lake.sql("SELECT track_id, mfcc01_mean FROM features_mfcc_120 LIMIT 1").fetchall()
    assert lake.features("mfcc-120").loc[track_id, "mfcc01_mean"] == value
    held = lake.predictions("random-forest", held_out=True)
    p = lake.sql(
        f"SELECT probability FROM held_out('random-forest') WHERE track_id = '{track_id}' ORDER BY label"
    ).fetchall()
    np.testing.assert_allclose(held.loc[track_id], [value for (value,) in p])
    np.testing.assert_allclose(held.sum(axis=1), 1, atol=1e-4)


def test_unknown_names_are_one_line(lake) -> None:
    for ask, says in (
        (lambda: lake.features("mfcc"), "Did you mean 'mfcc-120'"),
        (lambda: lake.predictions("resnet"), "unknown model with predictions"),
        (lambda: lake.tracks(where="nosuch > 1"), "nosuch"),
        (lambda: lake.train("random-forest", epochs=3), "unknown option 'epochs'"),
        (lambda: lake.dataset("official", "features:mfcc-120", part="all"), "unknown part 'all'"),
        (lambda: lake.dataset("nosuch", "features:mfcc-120"), "unknown split"),
        (lambda: lake.dataset("official", "spectrogram:mel-96-12k", seconds=0), "longer than 0 s"),
        (lambda: lake.track("fma:nosuch"), "no track 'fma:nosuch'"),
    ):
        with pytest.raises(UsageError, match=says):
            ask()


def test_a_data_set_streams_each_track_once_an_epoch(lake) -> None:
    stream = lake.dataset("official", "spectrogram:mel-96-12k", seconds=0.5)
    n_train = lake.sql("SELECT count(*) FROM splits WHERE split = 'official' AND part = 'train'").fetchall()[0][0]
    first, second = ([(x, int(y)) for x, y in stream] for _ in range(2))
    assert len(first) == len(stream) == n_train
    assert sorted(y for _, y in first) == sorted(y for _, y in second)
    # Another epoch has another order.
    assert [y for _, y in first] != [y for _, y in second]
    assert {tuple(x.shape) for x, _ in first} == {(96, first[0][0].shape[1])}
    assert len(stream.classes) == 8
    test = lake.dataset("official", "spectrogram:mel-96-12k", part="test", seconds=0.5)
    alone = [x for x, _ in test]
    shared = [x for x, _ in DataLoader(test, batch_size=None, num_workers=2)]
    assert len(shared) == len(alone) == len(test)
    assert {x.numpy().tobytes() for x in shared} == {x.numpy().tobytes() for x in alone}


def test_a_data_set_of_features_is_the_table(lake) -> None:
    rows = lake.dataset("official", "features:mfcc-120", part="test")
    ids = lake.sql("SELECT track_id FROM splits WHERE split = 'official' AND part = 'test'").fetchall()
    x, y = (torch.stack(column) for column in zip(*rows, strict=True))
    table = lake.features("mfcc-120").loc[[track_id for (track_id,) in ids]].to_numpy(np.float32)
    assert {row.tobytes() for row in x.numpy()} == {row.tobytes() for row in table}
    assert y.dtype == torch.int64


def test_a_track_is_shown_and_heard(lake) -> None:
    track_id = lake.tracks().index[0]
    track = lake.track(track_id)
    assert track_id in repr(track)
    page = track._repr_html_()
    assert 'src="data:audio/mpeg;base64,' in page
    assert 'src="data:image/png;base64,' in page
    assert lake.audio_samples(track_id).shape == (round(track.facts.duration_seconds * track.facts.sr),)
    assert "<td>tracks</td>" in lake._repr_html_()


def test_noise_and_suspects_say_what_they_are(lake) -> None:
    noise, suspects = lake.label_noise(), lake.label_suspects()
    assert noise.label.isna().tolist() == [True] + [False] * 8
    assert noise.attrs["said"]
    assert suspects.attrs["said"]
    assert (suspects.doubt > 0).all()
