"""Read folders of the library transformers, as `save_pretrained` writes them, without running their code.

Weights come only from safetensors, architectures only from the installed library.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.files import sha256
from phonolake.lineage import digest
from phonolake.models.transformers_encoder import (
    ENCODERS,
    EXTRACTORS,
    FOREIGN,
    WITH_TEXT,
    TransformersEncoder,
    first_line,
    library,
    most_tokens,
    reader,
)

CONFIG, EXTRACTOR, WEIGHTS, SHARDS = (
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
# This file refers to weights elsewhere.
ADAPTER = "adapter_config.json"
# Ways to compute attention that the library has itself: it fetches others, which are code.
BUILT_IN = (None, "eager", "sdpa")
# Windows of encoders that take any length, and the longest that is cut.
SECONDS, MOST_SECONDS = 10.0, 600.0
# A tenth of a millisecond, for lengths that are not whole samples.
CLOSE = 1e-4
RATES = (1_000, 384_000)
# The library builds what a configuration says, layer by layer, before it looks at the weights.
MOST_LAYERS = 512
# Hops of the frames of spectrogram transformers, in seconds; the library's extractor knows no other.
FRAME_SECONDS = 0.01
LICENCE = re.compile(r"^licen[cs]e(?:_name)?:\s*['\"]?([^'\"\s][^'\"\n]*?)['\"]?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """What to import from a folder.

    Parameters
    ----------
    name : str, optional
        Name of the model; that of the folder by default.
    layer : int, optional
        Hidden state that is pooled, negative ones from the end.
    seconds : float, optional
        Length of a window; by default what the extractor reads at once, else `SECONDS`.
    licence, origin : str, optional
        Instead of what ``README.md`` states, and of the folder's name.
    text : bool
        Whether to import the text tower, too, if there is one.
    """

    name: str | None = None
    layer: int | None = None
    seconds: float | None = None
    licence: str | None = None
    origin: str | None = None
    text: bool = True


def read(folder: Path, choice: EncoderChoice) -> tuple[TransformersEncoder, dict[str, Any]]:
    """Read an encoder.

    Returns
    -------
    network : TransformersEncoder
    card : dict
        For `phonolake.models.storage.save`.

    Raises
    ------
    UsageError
        If this is not such a folder, its weights are pickled, or it needs code of its own; for a layer or window that
        it does not have; when the library is not installed.
    PhonolakeError
        If the files of the folder are inconsistent.
    """
    config = _json(folder, CONFIG)
    kind = config.get("model_type")
    if kind not in (*ENCODERS, WITH_TEXT):
        coded = ": code that comes with a folder is not run" if "auto_map" in config else ""
        raise unknown(f"kind of encoder{coded}", str(kind), (*ENCODERS, WITH_TEXT))
    _check_config(folder, config)
    files = _weight_files(folder)
    with library() as transformers:
        extractor = _extractor(transformers, folder, kind)
        model = _model(transformers, folder, sum(file.stat().st_size for file in files))
        tokenizer = _tokenizer(transformers, folder, model) if kind == WITH_TEXT and choice.text else b""
    known: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    known.pop("transformers_version", None)
    build: dict[str, Any] = {
        "n_classes": 0,
        "n_frames": _window(extractor, choice.seconds),
        "config": known,
        "extractor": extractor,
        "layer": _layer(kind, model.config, choice.layer),
        "n_tokenizer": len(tokenizer),
    }
    network = TransformersEncoder(**build)
    network.encoder = model
    network.tokenizer.copy_(torch.frombuffer(bytearray(tokenizer), dtype=torch.uint8) if tokenizer else torch.zeros(0))
    card = {
        "model": FOREIGN.name,
        "name": choice.name or folder.resolve().name,
        "build": build,
        "classes": [],
        "activation": "identity",
        "input": f"audio:{extractor['sampling_rate']}",
        "text": bool(tokenizer),
        "weights": {
            "source": files[0].name,
            "sha256": sha256(files[0]) if len(files) == 1 else digest([sha256(file) for file in files]),
            "licence": choice.licence or _licence(folder),
            "url": choice.origin or folder.resolve().name,
        },
    }
    return network, card


def _json(folder: Path, name: str) -> dict[str, Any]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: a model of transformers is one, with {CONFIG} and {WEIGHTS}")
    path = folder / name
    if not path.is_file():
        raise UsageError(f"{folder} has no {name}: a model of transformers has {CONFIG}, {EXTRACTOR} and {WEIGHTS}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PhonolakeError(f"{path} cannot be read as JSON: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise PhonolakeError(f"{path} is no JSON object")
    return content


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse configurations that make the library build too much, or look for code or weights elsewhere."""
    parts: list[Any] = [config]
    while parts:
        part = parts.pop()
        n = part.get("num_hidden_layers", 0)
        if not isinstance(n, int) or not 0 <= n <= MOST_LAYERS:
            raise PhonolakeError(f"{folder / CONFIG} speaks of {n!r} layers: an encoder has at most {MOST_LAYERS}")
        for key, value in part.items():
            if "attn_implementation" in key and value not in BUILT_IN:
                raise UsageError(f"{folder / CONFIG} asks for {key} {value!r}: code from elsewhere is not run")
        if part.get("quantization_config") is not None:
            raise UsageError(f"{folder / CONFIG} speaks of quantized weights, which are not read: save it in float32")
        parts += [value for value in part.values() if isinstance(value, dict)]
    if (folder / ADAPTER).exists():
        raise UsageError(f"{folder} has an {ADAPTER}, so its weights lie elsewhere: merge them first")


def _weight_files(folder: Path) -> list[Path]:
    """The files of the weights, in order of their names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARDS).is_file():
        named = _json(folder, SHARDS).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise PhonolakeError(f"{folder / SHARDS} does not say which weights lie where")
        for name in sorted(set(named.values())):
            if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
                raise PhonolakeError(f"{folder / SHARDS} names {name}, which is no file of safetensors in {folder}")
        if named:
            return [folder / name for name in sorted(set(named.values()))]
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        raise UsageError(f"{folder} has its weights in {pickled[0]} alone, which is not opened: it needs {WEIGHTS}")
    raise UsageError(f"{folder} has no {WEIGHTS}")


def _extractor(transformers: Any, folder: Path, kind: str) -> dict[str, Any]:
    """The settings of the extractor, as the library completes them."""
    given = _json(folder, EXTRACTOR)
    default = {WITH_TEXT: "ClapFeatureExtractor", ENCODERS[0]: "ASTFeatureExtractor"}
    of_kind = default.get(kind, "Wav2Vec2FeatureExtractor")
    named = given.get("feature_extractor_type", of_kind)
    if named not in EXTRACTORS:
        raise unknown(f"feature extractor of {folder}", str(named), EXTRACTORS)
    if named != of_kind:
        raise PhonolakeError(f"{folder / EXTRACTOR} is of a {named}, and what {CONFIG} says ({kind}) reads {of_kind}")
    try:
        built = getattr(transformers, named).from_dict(given)
        found: dict[str, Any] = json.loads(built.to_json_string())
    # The library raises whatever its parts raise.
    except Exception as error:
        raise PhonolakeError(f"{folder / EXTRACTOR} makes no {named}: {first_line(error)}") from error
    rate = found.get("sampling_rate")
    if not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise PhonolakeError(f"{folder / EXTRACTOR} has a sampling rate of {rate!r}: it is {RATES[0]} to {RATES[1]} Hz")
    found.pop("processor_class", None)
    return found | {"feature_extractor_type": named}


def _model(transformers: Any, folder: Path, n_bytes: int) -> Any:
    """The encoder with all its weights, from files of a known total size."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        # Without memory: what a configuration speaks of may be far larger than what is there.
        with torch.device("meta"):
            spoken = transformers.AutoModel.from_config(config, trust_remote_code=False)
        n_spoken = sum(value.numel() for value in spoken.parameters())
    # The library raises whatever its parts raise.
    except Exception as error:
        raise PhonolakeError(f"{folder} cannot be read as a model: {first_line(error)}") from error
    if n_spoken > n_bytes:
        raise PhonolakeError(f"{folder} lacks weights: {CONFIG} speaks of {n_spoken}, and {n_bytes} bytes are there")
    try:
        model, facts = transformers.AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # The library raises whatever its parts raise.
    except Exception as error:
        raise PhonolakeError(f"{folder} cannot be read as a model: {first_line(error)}") from error
    missing, misfit = sorted(map(str, facts["missing_keys"])), sorted(map(str, facts["mismatched_keys"]))
    if missing or misfit:
        what, names = ("lacks", missing) if missing else ("has other shapes of", misfit)
        raise PhonolakeError(f"{folder} {what} {len(names)} weights that its {CONFIG} speaks of, such as {names[0]}")
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise PhonolakeError(f"{folder} has NaN or infinite values in {name}")
    return model.eval()


def _tokenizer(transformers: Any, folder: Path, model: Any) -> bytes:
    """What ``tokenizer.json`` holds, or what the older files that stand for it become."""
    # Where there is none, the library makes an empty one.
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise PhonolakeError(f"{folder} has no {TOKENIZERS[0][0]} for its text tower: --no-text goes without")
    try:
        found = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kept: bytes = found.backend_tokenizer.to_str().encode()
        size = reader(kept).get_vocab_size()
    # The library raises whatever its parts raise.
    except Exception as error:
        raise PhonolakeError(
            f"{folder} has no tokenizer that can be read ({first_line(error)}): --no-text goes without"
        ) from error
    if size > model.config.text_config.vocab_size or most_tokens(model.config) < 1:
        raise PhonolakeError(
            f"{folder} has a tokenizer of {size} tokens for a text tower of {model.config.text_config.vocab_size}: "
            "--no-text goes without"
        )
    return kept


def _window(extractor: dict[str, Any], seconds: float | None) -> int:
    """Samples of a window."""
    name, unit = (
        ("max_length", FRAME_SECONDS) if "AST" in extractor["feature_extractor_type"] else ("max_length_s", 1.0)
    )
    most = extractor.get(name)
    if most is not None:
        if isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most * unit <= MOST_SECONDS:
            raise PhonolakeError(f"the {EXTRACTOR} has a {name} of {most!r}: a window has at most {MOST_SECONDS:g} s")
        most *= unit
    wanted = seconds or most or SECONDS
    if not 0 < wanted <= MOST_SECONDS:
        raise UsageError(f"a window is longer than 0 s and has at most {MOST_SECONDS:g} s; received {wanted:g} s")
    if most is not None and wanted > most + CLOSE:
        raise UsageError(f"the encoder reads {most:g} s at once, which is the longest window; received {wanted:g} s")
    return max(1, round(wanted * extractor["sampling_rate"]))


def _layer(kind: str, config: Any, layer: int | None) -> int | None:
    if layer is None:
        return None
    if kind == WITH_TEXT:
        raise UsageError("the vectors of an encoder with a text tower are those that texts share: leave --layer out")
    n = int(config.num_hidden_layers)
    if not -n - 1 <= layer <= n:
        raise UsageError(f"the encoder has the layers 0 to {n}, or -1 to {-n - 1} from the end; received {layer}")
    return layer % (n + 1)


def _licence(folder: Path) -> str | None:
    """What the head of ``README.md`` states, where people publish it."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    head = text.split("\n---", 1)[0] if text.startswith("---") else ""
    stated: Sequence[str] = [name for name in LICENCE.findall(head) if name != "other"]
    return stated[0] if stated else None
