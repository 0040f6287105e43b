"""Contract checks for your own datasets, feature sets, spectrograms and models.

Phonolake's own parts pass them in its tests. Each check returns nothing, and raises an `AssertionError` that names the
broken rule.
"""

import json
import re
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from phonolake.errors import AudioError, UsageError
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.records import TEST, TRAIN, VALID, Recording
from phonolake.sources import contract as sources

# Names become parts of file names, in which `--` separates.
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COLUMN = re.compile(r"[a-z][a-z0-9_]*")
SECONDS = (0.2, 1.0, 3.3)


def check_source(source: sources.Source, root: Path) -> None:
    """Check a dataset reader by the contract of `phonolake.sources.contract`.

    Parameters
    ----------
    source : module
        The reader.
    root : Path
        A small tree in its layout, in which no recording is missing.
    """
    card = source.CARD
    _holds(bool(card.summary and card.licence and card.labels), "the card names summary, licence and labels")
    _holds(card.layout.startswith("DIR/"), "the card's layout begins with DIR/")
    found = list(source.recordings(root))
    _holds(bool(found), "recordings(root) names those of the tree")
    _holds(list(source.recordings(root)) == found, "recordings come in a fixed order")
    ids = [recording.source_id for recording in found]
    _holds(len(set(ids)) == len(ids) and all(ids), "source ids are unique and not empty")
    for recording in found:
        _check_recording(recording, root)
    terms = sources.vocabulary(source, root)
    known = {term.label for term in terms}
    said = {label for recording in found for label in recording.labels}
    _holds(not terms or said <= known, "every label is in the vocabulary")
    _holds(len({term.source_id for term in terms}) == len(terms), "terms have names of their own")
    _holds({parent for term in terms for parent in term.parents} <= known, "parents are terms of the vocabulary too")
    for fact in sources.facts(source, root):
        _holds(bool(fact.about) and min(fact.published, fact.found) >= 0, "facts are told and counted")
    with tempfile.TemporaryDirectory() as empty:
        try:
            named = list(islice(source.recordings(Path(empty)), 1))
        except UsageError as error:
            _holds(card.layout in str(error) and empty in str(error), "a wrong layout is named beside the right one")
        else:
            # Where any folder will do, an empty one has no recordings.
            _holds(not named, "a folder without the layout raises a UsageError")


def _check_recording(recording: Recording, root: Path) -> None:
    about = f"{recording.source_id}: "
    _holds(recording.path.is_relative_to(root), about + "its path lies below the root")
    words = [*recording.labels, *recording.tags]
    _holds(all(isinstance(word, str) and word.strip() for word in words), about + "labels and tags are words")
    for group in (recording.labels, recording.tags, [key for key, _ in recording.attributes]):
        _holds(len(set(group)) == len(group), about + "no label, tag or attribute stands twice")
    _holds(len({split for split, *_ in recording.splits}) == len(recording.splits), about + "it is in each split once")
    for split, part, fold in recording.splits:
        _holds(bool(split) and (part is None) != (fold is None), about + "a split has a part or a fold")
        _holds(part in (None, TRAIN, VALID, TEST) and (fold is None or fold >= 1), about + "parts and folds are known")
    attributes = dict(recording.attributes)
    _holds(json.loads(json.dumps(attributes)) == attributes, about + "attributes are numbers, texts or lists of them")


def check_feature_set(recipe: FeatureSet) -> None:
    """Check a feature set: finite numbers, one for each column."""
    _check_recipe(recipe)
    names = [name for name, _ in recipe.columns]
    _holds(len(set(names)) == len(names) > 0, "columns have names of their own")
    _holds(all(COLUMN.fullmatch(name) for name in names), "columns are named for SQL: small letters, digits and _")
    _holds(all(len(about) > 10 for _, about in recipe.columns), "every column is described with its unit")
    named = {*recipe.pooling.minima, *recipe.pooling.maxima, *recipe.pooling.medians, *recipe.pooling.deviations}
    _holds(named | set(recipe.pooling.deviations.values()) <= set(names), "pooling names columns that there are")
    for seconds in SECONDS:
        values = _answer(recipe, _noise(recipe, seconds))
        if values is not None:
            _holds(values.shape == (len(names),) and values.dtype == np.float64, "compute gives a float64 a column")


def check_spectrogram(recipe: Spectrogram) -> None:
    """Check a spectrogram: the shape and the rate that it states."""
    _check_recipe(recipe)
    _holds(bool(recipe.unit) and recipe.n_bands > 0 and recipe.frames_per_second > 0, "unit, bands and rate are given")
    channels = (recipe.n_channels,) if recipe.n_channels > 1 else ()
    for seconds in SECONDS:
        values = _answer(recipe, _noise(recipe, seconds))
        if values is None:
            continue
        _holds(values.dtype == np.float32 and values.shape[:-1] == (*channels, recipe.n_bands), "float32 of its bands")
        wanted = recipe.n_frames or seconds * recipe.frames_per_second
        _holds(abs(values.shape[-1] - wanted) <= 1, "as many frames as it names")


def _check_recipe(recipe: FeatureSet | Spectrogram) -> None:
    _holds(bool(NAME.fullmatch(recipe.name)), "the name has small letters, digits and single hyphens")
    _holds(recipe.version >= 1 and 1000 <= recipe.sr <= 192_000, "version and sampling rate are given")
    _holds(len(recipe.source) > 10, "the source is named")
    y = _noise(recipe, 2)
    first, again = _answer(recipe, y), _answer(recipe, y.copy())
    _holds(first is not None, "two seconds are enough")
    np.testing.assert_array_equal(first, again, "the same audio gives the same values")
    for loudness in (0.0, 1e-6, 100.0):
        _answer(recipe, np.float32(loudness) * y)
    for n in (0, 1, 100, 2048):
        _answer(recipe, y[:n])


def _noise(recipe: FeatureSet | Spectrogram, seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * recipe.sr)).astype(np.float32)


def _answer(recipe: FeatureSet | Spectrogram, y: np.ndarray) -> np.ndarray | None:
    """What a recipe says; None where it refuses what is too short."""
    try:
        values = recipe.of(y)
    except AudioError as error:
        _holds(error.reason == "too-short", f"only what is too short is refused, not {error}")
        return None
    _holds(bool(np.isfinite(values).all()), "values are finite")
    return values


def check_network(name: str, *, n_frames: int | None = None) -> None:
    """Check a network of the registry by the contract of `phonolake.models.registry`.

    Parameters
    ----------
    name : str
    n_frames : int, optional
        Length of input to build it for, where its card names none; a second by default.
    """
    import torch

    from phonolake.inference import inputs
    from phonolake.models import registry, storage
    from phonolake.models.network import Network
    from phonolake.models.registry import NetworkCard
    from phonolake.training.recipe import Recipe

    model = registry.get(name)
    _holds(isinstance(model.CARD, NetworkCard), "the card is a NetworkCard")
    Recipe(**model.CARD.recipe)
    read = inputs.series(model.CARD.input)
    length = model.CARD.n_frames or n_frames or int(read.steps_per_second) + 1
    build = {"n_classes": 3, "n_frames": length, "seed": 0}
    state = torch.get_rng_state()
    network: Any = model.build(**build)
    _holds(bool(torch.equal(state, torch.get_rng_state())), "building leaves the random state alone")
    _holds(isinstance(network, Network), "build gives a Network")
    x_B = torch.from_numpy(_windows(read, length))
    logits_BK = network(x_B)
    _holds(tuple(logits_BK.shape) == (len(x_B), 3), "forward gives a logit for each class")
    logits_BK.sum().backward()
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    _holds(all(weight.grad is not None for weight in learned), "every weight that learns gets a gradient")
    network.eval()
    with torch.no_grad():
        wanted = network(x_B)
        torch.testing.assert_close(network.classify(network.embed(x_B)), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model.build(**build).eval()(x_B), wanted, msg="the same seed gives the same network")
    card = {"model": name, "build": build, "classes": ["a", "b", "c"], "activation": "softmax"}
    with tempfile.TemporaryDirectory() as folder:
        loaded = storage.load(storage.save(network, card, Path(folder) / "model"))
        np.testing.assert_allclose(loaded.predict(x_B.numpy()), wanted.softmax(1).numpy(), atol=1e-5)


def _windows(read: Any, length: int) -> np.ndarray:
    """Two windows of what a network reads, of noise."""
    seconds = length / read.steps_per_second + 1
    y = np.random.default_rng(0).normal(0, 0.1, int(seconds * (read.sr or read.recipe.sr)) + 1).astype(np.float32)
    x_XT = read.of_samples(y) if read.is_decoded else read.recipe.of(y)
    return np.stack([x_XT[..., start : start + length] for start in (0, x_XT.shape[-1] - length)])


def check_estimator(name: str) -> None:
    """Check a scikit-learn classifier of the registry by the contract of `phonolake.models.registry`."""
    from phonolake.models import registry, storage
    from phonolake.models.registry import EstimatorCard

    model = registry.get(name)
    _holds(isinstance(model.CARD, EstimatorCard), "the card is an EstimatorCard")
    rng = np.random.default_rng(1)
    x_ND, y_N = rng.normal(size=(60, 12)), np.arange(60) % 3
    x_ND[np.arange(60), y_N] += 2
    fitted = model.build(seed=0).fit(x_ND, y_N)
    wanted = fitted.predict_proba(x_ND)
    _holds(wanted.shape == (60, 3) and bool(np.allclose(wanted.sum(axis=1), 1, atol=1e-5)), "probabilities sum to 1")
    np.testing.assert_array_equal(model.build(seed=0).fit(x_ND, y_N).predict_proba(x_ND), wanted, "seeds decide all")
    card = {"model": name, "build": {"seed": 0}, "classes": ["a", "b", "c"]}
    with tempfile.TemporaryDirectory() as folder:
        loaded = storage.load(storage.save(fitted, card, Path(folder) / "model"))
        np.testing.assert_array_equal(loaded.predict(x_ND), wanted.astype(np.float32))


def _holds(promise: bool, what: str) -> None:
    if not promise:
        raise AssertionError(f"not kept: {what}")
