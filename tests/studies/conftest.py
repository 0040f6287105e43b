"""Lakes that the studies of trainings share: few tracks, and all that their networks and classifiers read."""

from collections.abc import Iterator

import numpy as np
import pytest

from phonolake.features import contract
from phonolake.inference import products
from phonolake.inference.extractors import feature_set
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

from ..stages import in_process, small_lake

FEATURES = ("mfcc-120", "random-7x96-small", "random-7x86-small")


@pytest.fixture(scope="package")
def here() -> Iterator[None]:
    """All work is done in this process."""
    with pytest.MonkeyPatch.context() as patch:
        in_process.work_here(patch)
        yield


@pytest.fixture(scope="package")
def lake(here: None, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One class a track."""
    made = small_lake.make(tmp_path_factory.mktemp("studies") / "classes")
    add(made, *map(feature_set, FEATURES), contract.spectrogram("mel-128x128"))
    return made


@pytest.fixture(scope="package")
def tags(here: None, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Several labels a track."""
    made = small_lake.make(tmp_path_factory.mktemp("studies") / "tags", many=True)
    add(made, contract.spectrogram("stft-257-12k"))
    return made


def add(lake: Lake, *recipes: contract.FeatureSet | contract.Spectrogram) -> None:
    """Features and spectrograms whose class can be seen, of every track of a small lake; nothing is decoded."""
    changes: dict[str, Change] = {}
    for recipe in recipes:
        product = products.product(recipe)
        change = changes.setdefault(product.table.name, Change(product.table))
        for shard in range(2):
            rows = [row(recipe, n) for n in range(shard, 30, 2)]
            change.add.append(
                write_rows(lake.path(product.table.name, product.stem(f"toy-{shard}")), product.table.arrow, rows)
            )
    lake.commit(changes)


def row(recipe: contract.FeatureSet | contract.Spectrogram, n: int) -> dict:
    rng = np.random.default_rng(n)
    about = {"track_id": f"toy:{n:03d}", "source_shard": "toy.parquet", "config_hash": "", "code_version": ""}
    if isinstance(recipe, contract.FeatureSet):
        values = rng.normal(size=len(recipe.columns))
        values[n % 3 :: 3] += 1
        named = {name: float(value) for (name, _), value in zip(recipe.columns, values, strict=True)}
        return about | {"feature_set": recipe.name} | named
    shape = (recipe.n_bands, recipe.n_frames or small_lake.N_FRAMES)
    values = rng.normal(-60, 5, shape)
    third = recipe.n_bands // 3
    values[third * (n % 3) : third * (n % 3 + 1)] += 40
    sizes = {"n_bands": shape[0], "n_frames": shape[1], "data": values.astype("<f2").tobytes()}
    return about | {"spectrogram": recipe.name} | sizes
