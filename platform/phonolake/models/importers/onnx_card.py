"""ONNX files with a card that describes their input: our own JSON, or Essentia's metadata of its models.

The card is checked against the graph (ranks, axes, names, labels), and a probe clip goes through both: a wrong front
end shows by shapes, values or a deviation from the promised output.

Shape suffixes: B windows, F bands, T steps, K classes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.files import sha256
from phonolake.models.loaded_network import ACTIVATIONS
from phonolake.models.onnx_network import AXES, FOREIGN, OnnxNetwork

MOST_BYTES = 2 << 30
# The front ends of Essentia's algorithms that we have: input, axes, steps of a window, steps from one to the next.
ESSENTIA = {
    "TensorflowPredictMusiCNN": ("computed:mel-96-16k-musicnn", "BTF", 187, 93),
    "TensorflowPredictEffnetDiscogs": ("computed:mel-96-16k-musicnn", "BTF", 128, 62),
}
NEEDED = ("name", "input", "window", "inputs", "outputs")
# How far an answer to the probe clip may be from what the card promises.
TOLERANCE = 0.02
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class OnnxCard:
    """The content of a card.

    Parameters
    ----------
    input : str
        As for `phonolake.inference.inputs.parse`.
    axes : str
        One of `AXES`.
    window, hop : int
        Steps of a window, and from one to the next.
    graph_input : str
        Name of the graph's input.
    scores, embedding : str or None
        Names of its outputs.
    activation : str
        Function from scores to probabilities.
    probe : tuple of float
        Scores of the probe clip; empty if not on the card.
    """

    name: str
    input: str
    axes: str
    window: int
    hop: int
    graph_input: str
    scores: str | None
    embedding: str | None
    activation: str
    labels: tuple[str, ...]
    licence: str | None
    origin: str | None
    probe: tuple[float, ...] = ()


def read(file: Path, card_file: Path, name: str | None = None) -> tuple[OnnxNetwork, OnnxCard, dict[str, Any]]:
    """Read an ONNX file with its card.

    Returns
    -------
    network : OnnxNetwork
    stated : OnnxCard
    card : dict
        For `phonolake.models.storage.save`.

    Raises
    ------
    UsageError
        If a file is missing, or the card is incomplete or invalid.
    PhonolakeError
        If the graph cannot be run, or does not match the card.
    """
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise UsageError(f"{file} is no ONNX file of at most {MOST_BYTES >> 30} GiB")
    stated = parse(card_file, name)
    data = np.frombuffer(file.read_bytes(), np.uint8)
    build: dict[str, Any] = {
        "n_classes": len(stated.labels),
        "n_frames": stated.window,
        "n_bytes": len(data),
        "input": stated.graph_input,
        "axes": stated.axes,
        "scores": stated.scores,
        "embedding": stated.embedding,
    }
    network = OnnxNetwork(**build)
    network.file.copy_(torch.from_numpy(data.copy()))
    check_graph(file, network, stated)
    card = {
        "model": FOREIGN.name,
        "name": stated.name,
        "build": build,
        "classes": list(stated.labels),
        "activation": stated.activation,
        "input": stated.input,
        "windows": "whole",
        "hop": stated.hop,
        "weights": {"source": file.name, "sha256": sha256(file), "licence": stated.licence, "url": stated.origin},
    }
    return network, stated, card


def parse(path: Path, name: str | None = None) -> OnnxCard:
    """What a card says; the errors are those of `read`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a card: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a card: a card is a JSON object")
    try:
        found = _essentia(path, content) if "schema" in content else _own(path, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no card that could be understood: {error!r}") from error
    for key, value in (("name", name), ("axes", None)):
        if value is not None:
            found[key] = value
    card = OnnxCard(**found)
    if card.axes not in AXES:
        raise unknown("order of axes", card.axes, AXES)
    if card.activation not in ACTIVATIONS:
        raise unknown("activation", card.activation, ACTIVATIONS)
    if card.window < 1 or card.hop < 1:
        raise UsageError(f"{path}: window and hop are steps, at least 1; received {card.window} and {card.hop}")
    if card.input.startswith("audio:") and card.hop != card.window:
        raise UsageError(f"{path}: windows of audio lie side by side: hop {card.hop} is not the window {card.window}")
    if not card.scores and not card.embedding:
        raise UsageError(f"{path} names no output: scores, an embedding, or both")
    if bool(card.labels) != bool(card.scores):
        raise UsageError(f"{path} has {len(card.labels)} labels, and {'an' if card.scores else 'no'} output of scores")
    return card


def _own(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise UsageError(f"{path} lacks {', '.join(missing)}; a card has {', '.join(NEEDED)}, labels and licence")
    outputs = content["outputs"]
    window = int(content["window"])
    return {
        "name": str(content["name"]),
        "input": str(content["input"]),
        "axes": str(content["inputs"]["axes"]),
        "window": window,
        "hop": int(content.get("hop", window)),
        "graph_input": str(content["inputs"]["name"]),
        "scores": outputs.get("scores"),
        "embedding": outputs.get("embedding"),
        "activation": str(outputs.get("activation", "identity")),
        "labels": tuple(map(str, content.get("labels", ()))),
        "licence": content.get("licence") or content.get("license"),
        "origin": content.get("origin"),
        "probe": tuple(map(float, content.get("probe", ()))),
    }


def _essentia(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Essentia's JSON: what it calls an algorithm stands for a front end."""
    algorithm = content.get("inference", {}).get("algorithm", "")
    if algorithm not in ESSENTIA:
        raise unknown(f"front end of {path}", str(algorithm), ESSENTIA)
    read, axes, window, hop = ESSENTIA[algorithm]
    (given, *_), outputs = content["schema"]["inputs"], content["schema"]["outputs"]
    purposes = {output.get("output_purpose", ""): output["name"] for output in outputs}
    labels = tuple(map(str, content.get("classes", ())))
    return {
        "name": str(content["name"]).lower().replace(" ", "-"),
        "input": read,
        "axes": axes,
        "window": window,
        "hop": hop,
        "graph_input": str(given["name"]),
        "scores": purposes.get("predictions") if labels else None,
        "embedding": purposes.get("embeddings"),
        "activation": "identity",
        "labels": labels,
        "licence": content.get("license") or content.get("licence"),
        "origin": content.get("link"),
    }


def check_graph(file: Path, network: OnnxNetwork, card: OnnxCard) -> None:
    """Raise a `PhonolakeError` if the graph has other names or ranks than its card."""
    session = network.session()
    inputs = {given.name: given.shape for given in session.get_inputs()}
    if len(inputs) > 1:
        raise PhonolakeError(f"{file} has {len(inputs)} inputs ({', '.join(inputs)}), and one is given")
    if card.graph_input not in inputs:
        raise PhonolakeError(f"{file} has no input {card.graph_input!r}: it has {', '.join(inputs)}")
    shape = inputs[card.graph_input]
    if len(shape) != len(card.axes):
        raise PhonolakeError(f"{file} reads an array of rank {len(shape)} {shape}, and its card says {card.axes}")
    for axis, size in zip(card.axes, shape, strict=True):
        fixed = isinstance(size, int)
        if axis == "F" and not fixed:
            raise PhonolakeError(f"{file} leaves its number of bands open ({size}): it should be fixed")
        if axis == "T" and fixed and size != card.window:
            raise PhonolakeError(f"{file} reads windows of {size} steps, and its card says {card.window}")
        if axis == "C" and fixed and size != 1:
            raise PhonolakeError(f"{file} reads {size} channels: it should be 1")
    names = [output.name for output in session.get_outputs()]
    for name in (card.scores, card.embedding):
        if name and name not in names:
            raise PhonolakeError(f"{file} has no output {name!r}: it has {', '.join(names)}")


def bands(network: OnnxNetwork) -> int | None:
    """How many bands the graph reads; None for audio."""
    shape = network.session().get_inputs()[0].shape
    return int(shape[network.axes.index("F")]) if "F" in network.axes else None


def check_answer(card: OnnxCard, probabilities_K: np.ndarray, embedding_E: np.ndarray) -> None:
    """Compare the output for the probe clip with the card.

    Raises
    ------
    PhonolakeError
        For another number of scores, what is no number or no probability, or another answer than promised.
    """
    if len(probabilities_K) != len(card.labels):
        raise PhonolakeError(
            f"the network gives {len(probabilities_K)} scores, and its card has {len(card.labels)} labels"
        )
    for what, values in (("scores", probabilities_K), ("vectors", embedding_E)):
        if not np.isfinite(values).all():
            raise PhonolakeError(
                f"the network answers the probe clip with {what} that are no numbers: its front end is not {card.input}"
            )
    low, high = (probabilities_K.min(), probabilities_K.max()) if len(probabilities_K) else (0.0, 1.0)
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise PhonolakeError(
            f"the network answers the probe clip with {low:.3g} to {high:.3g}, which are no probabilities: its card "
            f"says the activation {card.activation!r}"
        )
    if card.probe:
        promised_K = np.array(card.probe)
        if promised_K.shape != probabilities_K.shape:
            raise PhonolakeError(
                f"the card promises {len(promised_K)} answers to the probe clip for {len(probabilities_K)} labels"
            )
        far = float(np.abs(promised_K - probabilities_K).max())
        if far > TOLERANCE:
            raise PhonolakeError(
                f"the network answers the probe clip {far:.3f} away from what its card promises: its front end is not "
                f"{card.input}"
            )
