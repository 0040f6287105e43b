"""One contract, kept by every model in the registry."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from phonolake.models import registry, storage
from phonolake.models.network import Network
from phonolake.training.recipe import Recipe

N_CLASSES, N_FRAMES = 3, 40
CLASSES = ["blues", "jazz", "rock"]
# Channels, bands and typical values of the inputs that networks read; audio has neither channels nor bands.
INPUTS = {
    "mel-96-12k": ((96,), -40, 20),
    "stft-257-12k": ((257,), -40, 20),
    "mel-128x128": ((128,), -40, 20),
    "mel-128-22k-729": ((128,), 1, 0.3),
    "mel-96-16k-musicnn": ((96,), 1, 0.5),
    "mel-96-picture": ((3, 216), 0.5, 0.2),
    "12000": ((), 0, 0.1),
    "22050": ((), 0, 0.1),
}
# Networks of a family that differ in sizes alone: these stand for the others, whose sizes have tests of their own.
FEW = {"sample-3-9", "sample-2-6-by-256", "frame-raw-729-243"}
VARIANTS = ("-as-described", "-repository")
# Of these the networks are those of the collection MagnaTagATune, apart from the pools, which have tests of their own.
TWINS = {"musicnn-msd", "vgg-msd"}
# Bases of twenty million weights, some of which must be downloaded, have a test module of their own.
TRANSFER = ("vgg16", "resnet50")


def inputs(name: str, rng: np.random.Generator) -> np.ndarray:
    """Inputs of a network: more of the small ones than go through it at once."""
    card = registry.get(name).CARD
    shape, mean, spread = INPUTS[card.input.split(":")[1]]
    n = 18 if name == "k2c2" else 2 if card.n_frames else 4
    return rng.normal(mean, spread, (n, *shape, length(name))).astype(np.float32)


def length(name: str) -> int:
    """Length of input that a network is built for here; 256 samples are a frame to those that read audio."""
    card = registry.get(name).CARD
    if name == "choi-msd":
        return N_FRAMES * 256
    if name.startswith("musicnn"):
        return N_FRAMES
    return card.n_frames or N_FRAMES


def fitted(name: str, *, seed: int = 0) -> tuple[Any, dict[str, Any], np.ndarray]:
    """Build a model, fit estimators, and give its card and inputs that it can score."""
    rng = np.random.default_rng(1)
    module = registry.get(name)
    if module.CARD.kind == "network":
        build = {"n_classes": N_CLASSES, "n_frames": length(name), "seed": seed}
        card = {"model": name, "build": build, "classes": CLASSES, "activation": "softmax"}
        return module.build(**build), card, inputs(name, rng)
    x_ND = rng.normal(size=(60, 24)).astype(np.float32)
    y_N = np.arange(60) % N_CLASSES
    x_ND[np.arange(60), y_N] += 2
    model = module.build(seed=seed)
    if "n_estimators" in model.get_params():
        model.set_params(n_estimators=12)
    classes = [] if module.CARD.kind == "embedder" else CLASSES
    return model.fit(x_ND, y_N), {"model": name, "build": {"seed": seed}, "classes": classes}, x_ND


def ours(card: registry.ModelCard) -> bool:
    """Whether the model goes through all tests of this module."""
    if card.kind == "extractor" or card.name.startswith(TRANSFER) or card.name.endswith(VARIANTS) or card.name in TWINS:
        return False
    return card.name in FEW or not card.name.startswith(("sample-", "frame-raw-"))


CARDS = [card for card in registry.cards() if ours(card)]
NETWORKS = [card.name for card in CARDS if card.kind == "network"]
ESTIMATORS = [card.name for card in CARDS if card.kind == "estimator"]
EMBEDDERS = [card.name for card in CARDS if card.kind == "embedder"]


@pytest.fixture(params=[card.name for card in CARDS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("card", registry.cards(), ids=lambda card: card.name)
def test_the_card_is_complete(card: registry.ModelCard) -> None:
    assert registry.get(card.name).CARD is card
    kinds = {"network": ("spectrogram", "audio"), "extractor": ("spectrogram", "audio")}
    assert card.kind in ("network", "estimator", "embedder", "extractor")
    assert card.input.split(":")[0] in kinds.get(card.kind, ("features",))
    assert card.summary.endswith(".")
    assert card.source
    assert card.recipe or card.kind in ("embedder", "extractor")


@pytest.mark.parametrize("card", registry.cards(), ids=lambda card: card.name)
def test_a_card_holds_plain_values(card: registry.ModelCard) -> None:
    assert json.loads(json.dumps(dict(card.recipe))) == dict(card.recipe)
    if card.kind == "network":
        Recipe(**card.recipe)


def test_the_recipe_of_an_estimator_is_what_its_build_takes() -> None:
    for name in ESTIMATORS:
        module = registry.get(name)
        params = module.build(seed=0).get_params(deep=True)
        for key, value in module.CARD.recipe.items():
            assert value in [params[name] for name in params if name.split("__")[-1] == key]


def test_same_seed_same_model_and_other_seed_other_network(name: str) -> None:
    model, _, x = fitted(name)
    again, _, _ = fitted(name)
    other, _, _ = fitted(name, seed=1)
    if not isinstance(model, Network):
        answer = "predict_proba" if hasattr(model, "predict_proba") else "transform"
        np.testing.assert_array_equal(getattr(model, answer)(x), getattr(again, answer)(x))
        return
    x_B = torch.from_numpy(x[:1])
    for network in (model, again, other):
        network.eval()  # dropout would differ
    assert torch.equal(model(x_B), again(x_B))
    assert not torch.equal(model(x_B), other(x_B))


@pytest.mark.parametrize("name", NETWORKS)
def test_building_a_network_leaves_the_random_state_alone(name: str) -> None:
    before = torch.get_rng_state()
    fitted(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_of_a_network_gets_a_gradient(name: str) -> None:
    model, _, x = fitted(name)
    logits_BK = model(torch.from_numpy(x))
    assert logits_BK.shape == (len(x), N_CLASSES)
    torch.nn.functional.cross_entropy(logits_BK, torch.arange(len(x)) % N_CLASSES).backward()
    for weight_name, weight in model.named_parameters():
        assert weight.grad is not None, weight_name
        assert torch.isfinite(weight.grad).all(), weight_name


@pytest.mark.parametrize("name", NETWORKS)
def test_classify_of_embed_is_forward(name: str) -> None:
    model, _, x = fitted(name)
    model.eval()
    with torch.no_grad():
        x_B = torch.from_numpy(x)
        torch.testing.assert_close(model.classify(model.embed(x_B)), model(x_B), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_label_vectors_are_one_row_per_class_of_the_embedding_that_is_classified(name: str) -> None:
    model, _, x = fitted(name)
    model.eval()
    with torch.no_grad():
        embedding_BE = model.embed(torch.from_numpy(x))
        logits_BK = model.classify(embedding_BE)
    W_KD = model.label_vectors()
    assert W_KD.shape[0] == N_CLASSES
    change = logits_BK[0] - logits_BK[1]
    seen = (embedding_BE[0] - embedding_BE[1])[-W_KD.shape[1] :]
    torch.testing.assert_close(change, torch.from_numpy(W_KD) @ seen, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_an_embedder_gives_vectors_and_no_probabilities(name: str, tmp_path: Any) -> None:
    model, card, x = fitted(name)
    loaded = storage.load(storage.save(model, card, tmp_path / "model"))
    p_NK, e_NE = loaded.predict_and_embed(x)
    assert p_NK.shape == (len(x), 0)
    np.testing.assert_array_equal(e_NE, model.transform(x).astype(np.float32))
    np.testing.assert_array_equal(loaded.embed(x), e_NE)


@pytest.mark.parametrize("name", NETWORKS + ESTIMATORS)
def test_what_was_saved_scores_the_same(name: str, tmp_path: Any) -> None:
    model, card, x = fitted(name)
    x = x if len(x) > 2 else x[:1]
    loaded = storage.load(storage.save(model, {**card, "note": "kept"}, tmp_path / "deep" / "model"))
    assert loaded.classes == tuple(CLASSES)
    assert loaded.card["note"] == "kept"
    probabilities = loaded.predict(x)
    assert probabilities.shape == (len(x), N_CLASSES)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    if isinstance(model, Network):
        model.eval()
        with torch.no_grad():
            x_N = torch.from_numpy(x)
            np.testing.assert_allclose(probabilities, model(x_N).softmax(1), atol=1e-5)
            embedding_NE = loaded.embed(x)
            assert embedding_NE is not None
            np.testing.assert_allclose(embedding_NE, model.embed(x_N), rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(probabilities, model.predict_proba(x).astype(np.float32))
        assert loaded.embed(x) is None
    both = loaded.predict_and_embed(x)
    np.testing.assert_array_equal(both[0], probabilities)


def test_the_same_model_gives_the_same_bytes(name: str, tmp_path: Any) -> None:
    """Also when it was fitted anew, and so lies elsewhere in memory."""
    folders = []
    for copy in ("one", "two"):
        model, card, _ = fitted(name)
        folders.append(storage.save(model, card, tmp_path / copy))
    files = sorted(path.name for path in folders[0].iterdir())
    assert files == sorted(path.name for path in folders[1].iterdir())
    for file in files:
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes(), file


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_card_trusts_no_type_that_the_model_does_not_need(name: str, tmp_path: Any) -> None:
    import skops.io

    model, card, _ = fitted(name)
    trusted = registry.get(name).CARD.trusted_types
    folder = storage.save(model, card, tmp_path / "model")
    assert sorted(skops.io.get_untrusted_types(file=folder / storage.ESTIMATOR_FILE)) == sorted(trusted)
