"""One contract, kept by every model in the registry."""

from typing import Any

import numpy as np
import pytest
import torch

from phonolake.models import registry, storage
from phonolake.models.registry import Network

N_CLASSES, N_FRAMES = 3, 40
CLASSES = ["blues", "jazz", "rock"]


def fitted(name: str, *, seed: int = 0) -> tuple[Any, dict[str, Any], np.ndarray]:
    """Build a model, fit estimators, and give its card and inputs that it can score."""
    rng = np.random.default_rng(1)
    module = registry.get(name)
    if module.CARD.kind == "network":
        build = {"n_classes": N_CLASSES, "n_frames": N_FRAMES, "seed": seed}
        card = {"model": name, "build": build, "classes": CLASSES, "activation": "softmax"}
        return module.build(**build), card, rng.normal(-40, 20, (18, 96, N_FRAMES)).astype(np.float32)
    x_ND = rng.normal(size=(60, 24)).astype(np.float32)
    y_N = np.arange(60) % N_CLASSES
    x_ND[np.arange(60), y_N] += 2
    model = module.build(seed=seed)
    if "n_estimators" in model.get_params():
        model.set_params(n_estimators=12)
    classes = [] if module.CARD.kind == "embedder" else CLASSES
    return model.fit(x_ND, y_N), {"model": name, "build": {"seed": seed}, "classes": classes}, x_ND


NETWORKS = [card.name for card in registry.cards() if card.kind == "network"]
ESTIMATORS = [card.name for card in registry.cards() if card.kind == "estimator"]
EMBEDDERS = [card.name for card in registry.cards() if card.kind == "embedder"]


@pytest.fixture(params=registry.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_card_is_complete(name: str) -> None:
    card = registry.get(name).CARD
    assert card.name == name
    assert card.kind in ("network", "estimator", "embedder")
    assert card.input.split(":")[0] == ("spectrogram" if card.kind == "network" else "features")
    assert card.summary.endswith(".")
    assert card.source
    assert card.recipe or card.kind == "embedder"


def test_the_recipe_is_one_that_its_trainer_takes(name: str) -> None:
    from phonolake.training.loop import Recipe

    module = registry.get(name)
    if module.CARD.kind == "network":
        Recipe(**module.CARD.recipe)
    else:
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
    x_BFT = torch.from_numpy(x)
    assert torch.equal(model(x_BFT), again(x_BFT))
    assert not torch.equal(model(x_BFT), other(x_BFT))


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
        x_BFT = torch.from_numpy(x)
        torch.testing.assert_close(model.classify(model.embed(x_BFT)), model(x_BFT), rtol=0, atol=1e-6)


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
            x_BFT = torch.from_numpy(x)
            np.testing.assert_allclose(probabilities, model(x_BFT).softmax(1), atol=1e-6)
            embedding_NE = loaded.embed(x)
            assert embedding_NE is not None
            np.testing.assert_allclose(embedding_NE, model.embed(x_BFT), atol=1e-5)
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
