"""Trained models on disk: a folder with `card.json` and the weights, and no pickle anywhere.

Networks are kept as safetensors. Estimators are kept in the skops format, which names the type of every object it
holds: only skops' own list of harmless types and those on the model's card are ever built.

Shape suffixes: B batch, N examples, F mel bands, T frames, D features, K classes, E embedding values.
"""

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.models import registry
from phonolake.models.devices import find_device
from phonolake.models.registry import Network

CARD_FILE = "card.json"
NETWORK_FILE = "model.safetensors"
ESTIMATOR_FILE = "model.skops"

ACTIVATIONS = {"softmax": lambda logits_BK: logits_BK.softmax(dim=1), "sigmoid": torch.sigmoid}

# The layer that is a network's own embedding.
EMBEDDING = "embedding"

# Inputs that go through a network at once: 16 half-minute clips take some 300 MB per layer of k2c2.
_CHUNK = 16

# What reading a damaged skops archive raises, from the packing up to the objects.
_DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    NotImplementedError,
)


class LoadedModel(Protocol):
    """A stored model, ready to score; networks and estimators look the same from outside."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What `save` was given."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Compute P_NK, float32 probabilities in [0, 1], from x_NFT (networks) or x_ND (estimators)."""

    def embed(self, x: np.ndarray) -> np.ndarray | None:
        """Compute E_NE, float32; None where the model has no embedding."""

    def predict_and_embed(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute both at the price of one."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A stored network. Inputs are x_BFT, x_BCFT or x_BS, float32; those of any number are taken in small batches."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    network: Network
    device: torch.device

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Compute P_NK; rows sum to 1 under softmax."""
        return self.predict_and_embed(x)[0]

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Compute E_NE."""
        return self.predict_and_embed(x)[1]

    def predict_and_embed(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute P_NK and E_NE in one pass."""
        if len(x) == 0:
            raise UsageError(f"no inputs to score: received shape {x.shape}.")
        activation = ACTIVATIONS[self.card["activation"]]
        scored, embedded = [], []
        with torch.inference_mode():
            for start in range(0, len(x), _CHUNK):
                chunk = np.require(x[start : start + _CHUNK], np.float32, ["C", "W"])
                embedding_BE = self.network.embed(torch.from_numpy(chunk).to(self.device))
                embedded.append(embedding_BE.cpu().numpy())
                scored.append(activation(self.network.classify(embedding_BE)).cpu().numpy())
        return np.concatenate(scored), np.concatenate(embedded)

    @contextmanager
    def listening(self, layer: str) -> Iterator[list[np.ndarray]]:
        """Collect what a layer gives for each chunk of inputs, while the block runs.

        Parameters
        ----------
        layer : str
            Name of a module of the network, such as ``convs.3``.

        Yields
        ------
        heard : list of ndarray
            Grows by an array (n, channels) for each chunk: means over time and frequency.

        Raises
        ------
        UsageError
            If the network has no such layer.
        """
        named = {name: module for name, module in self.network.named_modules() if name}
        if layer not in named:
            raise unknown("layer", layer, [EMBEDDING, *named])
        heard: list[np.ndarray] = []
        hook = named[layer].register_forward_hook(lambda _, __, output: heard.append(_means(output)))
        try:
            yield heard
        finally:
            hook.remove()


def _means(output: Tensor | tuple[Tensor, ...]) -> np.ndarray:
    """Means (B, channels) over the places of a layer's output; recurrent layers give a tuple, and time before width."""
    if isinstance(output, tuple):
        output = output[0].transpose(1, -1)
    means_BC = output.float().flatten(2).mean(dim=2) if output.ndim > 2 else output.float()
    values: np.ndarray = means_BC.cpu().numpy()
    return values


@dataclass(frozen=True)
class LoadedEstimator:
    """A stored scikit-learn classifier. Inputs are x_ND."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    estimator: Any

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute P_NK; rows sum to 1, and classes that were absent from the training data get 0."""
        P_NK = np.zeros((len(x_ND), len(self.classes)), np.float32)
        P_NK[:, self.estimator.classes_] = self.estimator.predict_proba(x_ND)
        return P_NK

    def embed(self, x_ND: np.ndarray) -> None:
        """Return None: an estimator has no embedding."""
        return None

    def predict_and_embed(self, x_ND: np.ndarray) -> tuple[np.ndarray, None]:
        """Return P_NK and None."""
        return self.predict(x_ND), None


def save(model: Any, card: Mapping[str, Any], folder: Path) -> Path:
    """Store a trained model. The same model and card give the same bytes.

    The folder is written under another name beside its place and then renamed, so that no reader sees half of it. A
    model that was there before steps aside first, so for an instant there is none.

    Parameters
    ----------
    model : Network or scikit-learn classifier
        Estimators must have been fitted on column numbers, 0 ... K-1.
    card : mapping
        ``"model"``, the name in the registry; ``"build"``, the arguments that its `build` was given; ``"classes"``,
        the names of the K columns; for networks ``"activation"``, ``"softmax"`` or ``"sigmoid"``. Whatever else the
        caller wants to keep with the model may stand beside them, as long as JSON can hold it.
    folder : Path
        Where to. Its parents are created.

    Returns
    -------
    folder : Path

    Raises
    ------
    UsageError
        If the card is incomplete or does not fit the model, or something else than a model stands at `folder`.
    """
    folder = Path(folder)
    text = _card_text(card)
    _check_fit(model, card)
    if folder.exists() and not (folder / CARD_FILE).is_file():
        raise UsageError(f"{folder} exists and is not a stored model; choose another place for the model.")
    staging = folder.with_name(f".{folder.name}.{uuid4().hex}")
    staging.mkdir(parents=True)
    try:
        (staging / CARD_FILE).write_text(text, encoding="utf-8")
        _write_weights(model, staging)
        _publish(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class LoadedEmbedder:
    """A stored scikit-learn transformer. Inputs are x_ND."""

    card: Mapping[str, Any]
    classes: tuple[str, ...]
    transformer: Any

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Return probabilities of no classes, of shape (N, 0)."""
        return np.zeros((len(x_ND), 0), np.float32)

    def embed(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute E_NE."""
        return np.asarray(self.transformer.transform(x_ND), np.float32)

    def predict_and_embed(self, x_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what `predict` and `embed` give."""
        return self.predict(x_ND), self.embed(x_ND)


def wrap(model: Any, card: Mapping[str, Any], *, device: str = "cpu") -> LoadedModel:
    """Give a trained model that is still in memory the face of a stored one."""
    kind, classes = registry.get(card["model"]).CARD.kind, tuple(card["classes"])
    if kind == "estimator":
        return LoadedEstimator(card, classes, model)
    if kind == "embedder":
        return LoadedEmbedder(card, classes, model)
    target = find_device(device)
    return LoadedNetwork(card, classes, model.to(target).eval(), target)


def load(folder: Path, *, device: str = "cpu") -> LoadedModel:
    """Load what `save` stored.

    Parameters
    ----------
    folder : Path
        A folder that `save` wrote.
    device : str
        Where networks compute, such as ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    UsageError
        If the folder holds no model, or its card names an unknown one.
    PhonolakeError
        If the files are damaged, belong to other build arguments, or hold types that the model's card does not trust.
    """
    folder = Path(folder)
    card = read_card(folder)
    module = registry.get(card["model"])
    if missing := _missing_keys(card):
        raise PhonolakeError(f"{folder / CARD_FILE} lacks {', '.join(missing)}; store the model again.")
    if module.CARD.kind != "network":
        return wrap(_read_estimator(folder / ESTIMATOR_FILE, module.CARD.trusted_types), card)
    try:
        network = module.blank(**card["build"])
    except TypeError as error:
        raise PhonolakeError(
            f"{folder / CARD_FILE} has arguments that {card['model']} does not take: {error}"
        ) from error
    _read_weights(network, folder / NETWORK_FILE)
    return wrap(network, card, device=device)


def _card_text(card: Mapping[str, Any]) -> str:
    if missing := _missing_keys(card):
        raise UsageError(f"the card lacks {', '.join(missing)}; it has {', '.join(sorted(card)) or 'nothing'}.")
    try:
        return json.dumps(dict(card), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise UsageError(f"the card cannot be kept as JSON: {error}.") from error


def _missing_keys(card: Mapping[str, Any]) -> list[str]:
    required = {"model", "build", "classes"}
    if "model" in card and registry.get(card["model"]).CARD.kind == "network":
        required.add("activation")
    return sorted(required - card.keys())


def _check_fit(model: Any, card: Mapping[str, Any]) -> None:
    module = registry.get(card["model"])
    n_columns = len(card["classes"])
    if (module.CARD.kind == "network") != isinstance(model, Network):
        raise UsageError(
            f"the card says {card['model']!r}, {_article(module.CARD.kind)}, received {type(model).__name__}."
        )
    if isinstance(model, Network):
        if card["activation"] not in ACTIVATIONS:
            raise unknown("activation", str(card["activation"]), ACTIVATIONS)
        n_classes = card["build"].get("n_classes")
        if n_classes != n_columns:
            raise UsageError(f"the card names {n_columns} classes for a network that was built for {n_classes}.")
        return
    if module.CARD.kind == "embedder":
        return
    fitted = np.asarray(getattr(model, "classes_", ()))
    if fitted.size == 0 or fitted.dtype.kind not in "iu" or fitted.min() < 0 or fitted.max() >= n_columns:
        raise UsageError(
            f"estimators are fitted on column numbers 0 to {n_columns - 1}; this one has classes {fitted.tolist()}."
        )


def _article(kind: str) -> str:
    return f"{'a' if kind == 'network' else 'an'} {kind}"


def _write_weights(model: Any, folder: Path) -> None:
    if isinstance(model, Network):
        from safetensors.torch import save_file

        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / NETWORK_FILE)
    else:
        import skops.io

        (folder / ESTIMATOR_FILE).write_bytes(_canonical_skops(skops.io.dumps(model)))


def _publish(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    # A folder that holds files cannot be renamed over: the old one steps aside first.
    retired = folder.with_name(f".{folder.name}.{uuid4().hex}")
    folder.rename(retired)
    try:
        staging.rename(folder)
    except OSError:
        if not folder.exists():
            retired.rename(folder)
        raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


def read_card(folder: Path) -> dict[str, Any]:
    """Read what `save` was given, without the weights; the errors are those of `load`."""
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"no model at {folder}: {path} does not exist.") from error
    except ValueError as error:
        raise PhonolakeError(f"{path} is damaged ({error}); store the model again.") from error
    if not isinstance(card, dict) or "model" not in card:
        raise PhonolakeError(f"{path} is not the card of a model; store the model again.")
    return card


def _read_weights(network: Network, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise PhonolakeError(f"{path} does not hold the weights that its card promises: {error}") from error


def _read_estimator(path: Path, trusted_types: tuple[str, ...]) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=list(trusted_types))
    except UntrustedTypesFoundException as error:
        raise PhonolakeError(
            f"{path} holds types that this model does not need, so it was not opened: {error} "
            f"Was it written by this version of Phonolake?"
        ) from error
    except _DAMAGE as error:
        raise PhonolakeError(f"{path} cannot be read as a model ({error!r}); store the model again.") from error


def _canonical_skops(dump: bytes) -> bytes:
    """Rewrite a skops archive so that it depends on the model alone.

    skops names objects and files by their address in memory and stamps files with the time; here they are numbered in
    order of appearance and stamped with none. Node tables of trees are mostly repetition, so the files are also packed.
    """
    packed = BytesIO()
    with zipfile.ZipFile(BytesIO(dump)) as source, zipfile.ZipFile(packed, "w") as target:
        schema = json.loads(source.read("schema.json"))
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}
        _renumber(schema, numbers, files)
        assert {*files, "schema.json"} == set(source.namelist()), "the archive has files that its schema does not name"
        contents = {new: source.read(old) for old, new in files.items()}
        contents["schema.json"] = json.dumps(schema, separators=(",", ":")).encode()
        for name, content in contents.items():
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _renumber(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for child in node:
            _renumber(child, numbers, files)
    elif isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if "file" in node and "__loader__" in node:
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files)}{Path(old).suffix}")
        for child in node.values():
            _renumber(child, numbers, files)
