"""The graph beside a checkpoint of TensorFlow (``.meta``): its pooling layers, which the weights do not show.

References
----------
.. [1] TensorFlow, "meta_graph.proto", "node_def.proto" and "attr_value.proto", github.com/tensorflow/tensorflow.
"""

from dataclasses import dataclass

from phonolake.errors import PhonolakeError
from phonolake.models.importers import protobuf
from phonolake.models.importers.protobuf import MalformedError, Value, as_bytes, text

_MAX_POOL = "MaxPool"


@dataclass(frozen=True, slots=True)
class MaxPool:
    """One pooling layer over images in the order batch, height, width, channels; `size` and `stride` are of the two."""

    name: str
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: str


def max_pools(name: str, meta: bytes) -> list[MaxPool]:
    """The max-pooling layers of a graph, in the order in which it was built.

    Parameters
    ----------
    name : str
        What the error calls it.
    meta : bytes
        A MetaGraphDef.

    Raises
    ------
    PhonolakeError
        If the bytes are no graph, or pool over more than height and width.
    """
    try:
        return [
            _max_pool(node)
            for graph in protobuf.messages(memoryview(meta), 2)
            for node in protobuf.messages(graph, 1)
            if _operation(node) == _MAX_POOL
        ]
    except MalformedError as error:
        raise PhonolakeError(f"{name} cannot be read as a graph of TensorFlow: {error}") from error


def _operation(node: memoryview) -> str:
    return "".join(text(value) for value in protobuf.messages(node, 2))


def _max_pool(node: memoryview) -> MaxPool:
    name = "".join(text(value) for value in protobuf.messages(node, 1))
    attributes = dict(_attribute(entry) for entry in protobuf.messages(node, 5))
    try:
        size, stride, padding = (attributes[key] for key in ("ksize", "strides", "padding"))
    except KeyError as error:
        raise MalformedError(f"the pooling layer {name} has no {error.args[0]}") from error
    return MaxPool(
        name, _of_image(name, size), _of_image(name, stride), "".join(map(text, protobuf.messages(padding, 2)))
    )


def _attribute(entry: memoryview) -> tuple[str, memoryview]:
    """Key and value of an entry of a map."""
    parts = dict(protobuf.fields(entry))
    return text(parts.get(1, memoryview(b""))), as_bytes(parts.get(2, memoryview(b"")))


def _of_image(name: str, attribute: memoryview) -> tuple[int, int]:
    values: list[Value] = [
        value for part in protobuf.messages(attribute, 1) for number, value in protobuf.fields(part) if number == 3
    ]
    match protobuf.numbers(values):
        case (1, height, width, 1):
            return height, width
        case other:
            raise MalformedError(f"the pooling layer {name} pools over {other}")
