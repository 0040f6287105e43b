"""Trained models on disk: a folder with `card.json` and the weights, and no pickle anywhere.

Networks are stored as safetensors. Estimators are stored in the skops format, which names the type of every object in
it: only types on skops' own list of trusted types and on the model's card are ever built.
"""

import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.files import read_folder, replacing_folder, standing
from phonolake.models import registry
from phonolake.models.loaded import LoadedModel, wrap
from phonolake.models.registry import NetworkCard

if TYPE_CHECKING:  # to load an estimator, nobody waits for torch
    from phonolake.models.network import Network

CARD_FILE = "card.json"
NETWORK_FILE = "model.safetensors"
ESTIMATOR_FILE = "model.skops"

# skops imports all of scikit-learn to list its estimators, and with it this module, which imports torch.
_TORCH_ADAPTER = "sklearn.externals.array_api_compat.torch"

# Errors for a damaged skops archive, from the packing to the objects.
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


def save(model: Any, card: Mapping[str, Any], folder: Path) -> Path:
    """Store a trained model. The same model and card give the same bytes.

    It replaces an earlier model atomically, and is on the disk when this returns.

    Parameters
    ----------
    model : Network or scikit-learn classifier
        Estimators must have been fitted on column numbers, 0 ... K-1.
    card : mapping
        ``"model"``, the name in the registry; ``"build"``, the arguments that its `build` was given; ``"classes"``,
        the names of the K columns; for networks ``"activation"``, ``"softmax"`` or ``"sigmoid"``. The caller may add
        any other JSON values.
    folder : Path
        Target folder. Its parents are created.

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
    with replacing_folder(folder) as staging:
        (staging / CARD_FILE).write_text(text, encoding="utf-8")
        write_weights(model, staging)
    return folder


def load(folder: Path, *, device: str = "cpu") -> LoadedModel:
    """Load a model stored by `save`.

    Parameters
    ----------
    folder : Path
        A folder that `save` wrote.
    device : str
        Where networks compute, such as ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    UsageError
        If the folder has no model, or its card names an unknown one.
    PhonolakeError
        If the files are damaged, belong to other build arguments, or contain types that the model's card does not
        trust.
    """
    return read_folder(Path(folder), partial(_load, device=device))


def import_for(name: str) -> None:
    """Import all that `load` needs for a model of the registry, so that workers that are forked later do not wait."""
    if isinstance(registry.get(name).CARD, NetworkCard):
        import safetensors.torch  # noqa: F401

        import phonolake.models.loaded_network  # noqa: F401
    else:
        _skops()


def _load(folder: Path, *, device: str) -> LoadedModel:
    card = read_card(folder)
    module = registry.get(card["model"])
    if missing := _missing_keys(card):
        raise PhonolakeError(f"{folder / CARD_FILE} lacks {', '.join(missing)}; store the model again.")
    if not isinstance(module.CARD, NetworkCard):
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
    if "model" in card and isinstance(registry.get(card["model"]).CARD, NetworkCard):
        required.add("activation")
    return sorted(required - card.keys())


def _check_fit(model: Any, card: Mapping[str, Any]) -> None:
    from phonolake.models.loaded_network import ACTIVATIONS
    from phonolake.models.network import Network

    module = registry.get(card["model"])
    n_columns = len(card["classes"])
    if isinstance(module.CARD, NetworkCard) != isinstance(model, Network):
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
    if not module.CARD.needs_labels:
        return
    fitted = np.asarray(getattr(model, "classes_", ()))
    if fitted.size == 0 or fitted.dtype.kind not in "iu" or fitted.min() < 0 or fitted.max() >= n_columns:
        raise UsageError(
            f"estimators are fitted on column numbers 0 to {n_columns - 1}; this one has classes {fitted.tolist()}."
        )


def _article(kind: str) -> str:
    return f"{'a' if kind == 'network' else 'an'} {kind}"


def write_weights(model: Any, folder: Path) -> None:
    """Write the weights of a model into its folder."""
    from phonolake.models.network import Network

    if isinstance(model, Network):
        from safetensors.torch import save_file

        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        save_file(weights, folder / NETWORK_FILE)
    else:
        (folder / ESTIMATOR_FILE).write_bytes(_canonical_skops(_skops().dumps(model)))


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of `save`, without the weights; the errors are those of `load`."""
    path = standing(folder) / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"no model at {folder}: {path} does not exist.") from error
    except ValueError as error:
        raise PhonolakeError(f"{path} is damaged ({error}); store the model again.") from error
    if not isinstance(card, dict) or "model" not in card:
        raise PhonolakeError(f"{path} is not the card of a model; store the model again.")
    return card


def _read_weights(network: "Network", path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise PhonolakeError(f"{path} does not have the weights of its card: {error}") from error


def _read_estimator(path: Path, trusted_types: tuple[str, ...]) -> Any:
    skops = _skops()
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.load(path, trusted=list(trusted_types))
    except UntrustedTypesFoundException as error:
        raise PhonolakeError(
            f"{path} holds types that this model does not need, so it was not opened: {error} "
            f"Was it written by this version of Phonolake?"
        ) from error
    except _DAMAGE as error:
        raise PhonolakeError(f"{path} cannot be read as a model ({error!r}); store the model again.") from error


def _skops() -> Any:
    """`skops.io`, imported without torch, for which estimators would wait longer than for all else."""
    hidden = _TORCH_ADAPTER not in sys.modules
    if hidden:
        sys.modules[_TORCH_ADAPTER] = None  # type: ignore[assignment]
    try:
        import skops.io
    finally:
        if hidden:
            del sys.modules[_TORCH_ADAPTER]
    return skops.io


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
