"""Checkpoints of TensorFlow, format V2, without TensorFlow: an index of tensors beside files of their bytes.

Nothing in such a checkpoint can be executed. Tensors are views of the bytes as they were received, so that what is read
needs no more memory than the files, whatever they claim.

References
----------
.. [1] TensorFlow, "tensor_bundle.proto" and "types.proto", github.com/tensorflow/tensorflow, tensorflow/core.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.models.importers import protobuf, sstable
from phonolake.models.importers.protobuf import MalformedError, as_bytes, as_number

# By number in types.proto: what networks are made of.
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
_HEADER = b""
_MOST_DIMENSIONS, _MOST_VALUES = 8, 1 << 40


@dataclass(slots=True)
class BundleEntry:
    """Where the bytes of a tensor lie: a BundleEntryProto."""

    dtype: int = 0
    shape: list[int] = field(default_factory=list)
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    parts: int = 0


def read(name: str, index: bytes, shards: Sequence[bytes], wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Read tensors of a checkpoint.

    Parameters
    ----------
    name : str
        What the error calls it.
    index : bytes
        The file ``.index``.
    shards : sequence of bytes
        The files ``.data-00000-of-0000N``, in order.
    wanted : collection of str
        Names of the variables.

    Returns
    -------
    dict of str to ndarray
        All that are wanted, as read-only views of `shards`.

    Raises
    ------
    PhonolakeError
        If the files are no checkpoint, a checksum is wrong, or a tensor is missing or of a kind that is not read here.
    """
    try:
        found = _entries(index, len(shards), wanted)
        if missing := sorted(set(wanted) - set(found)):
            raise MalformedError(f"it has no tensor {missing[0]}")
        _check_apart(found)
        return {tensor: _tensor(tensor, entry, shards[entry.shard]) for tensor, entry in found.items()}
    except MalformedError as error:
        raise PhonolakeError(f"{name} cannot be read as a TensorFlow checkpoint: {error}") from error


def _entries(index: bytes, n_shards: int, wanted: Collection[str]) -> dict[str, BundleEntry]:
    names = {name.encode(): name for name in wanted}
    found: dict[str, BundleEntry] = {}
    headers = 0
    for key, value in sstable.entries(index):
        if key == _HEADER:
            _check_header(value, n_shards)
            headers += 1
        elif key in names:
            found[names[key]] = _entry(value)
            if found[names[key]].shard >= n_shards:
                raise MalformedError(f"{names[key]} lies in file {found[names[key]].shard} of {n_shards}")
    if not headers:
        raise MalformedError("its index has no header")
    return found


def _check_header(value: memoryview, n_shards: int) -> None:
    header = {number: as_number(got) for number, got in protobuf.fields(value) if number in (1, 2)}
    if header.get(1, 0) != n_shards:
        raise MalformedError(f"its header announces {header.get(1, 0)} data file(s), received {n_shards}")
    if header.get(2, 0):
        raise MalformedError("its numbers are big-endian")


def _entry(value: memoryview) -> BundleEntry:
    entry = BundleEntry()
    for number, got in protobuf.fields(value):
        match number:
            case 1:
                entry.dtype = as_number(got)
            case 2:
                entry.shape = _shape(as_bytes(got))
            case 3:
                entry.shard = as_number(got)
            case 4:
                entry.offset = as_number(got)
            case 5:
                entry.size = as_number(got)
            case 6:
                entry.crc = as_number(got)
            case 7:
                entry.parts += 1
    return entry


def _shape(message: memoryview) -> list[int]:
    """Sizes of the dimensions: those that are zero are not written."""
    return [
        sum(as_number(size) for number, size in protobuf.fields(dimension) if number == 1)
        for dimension in protobuf.messages(message, 2)
    ]


def _check_apart(found: dict[str, BundleEntry]) -> None:
    """Tensors do not share bytes, so that none is summed up twice."""
    ends: dict[int, int] = {}
    for name, entry in sorted(found.items(), key=lambda item: (item[1].shard, item[1].offset)):
        if entry.size and entry.offset < ends.get(entry.shard, 0):
            raise MalformedError(f"{name} lies within another tensor")
        ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.size)


def _tensor(name: str, entry: BundleEntry, data: bytes) -> np.ndarray:
    if entry.parts:
        raise MalformedError(f"{name} is partitioned, which is not read here")
    if entry.dtype not in DTYPES:
        raise MalformedError(f"{name} is of type {entry.dtype}, read are {', '.join(map(str, DTYPES))}")
    dtype = np.dtype(DTYPES[entry.dtype])
    # Also of a tensor without values, whose other dimensions numpy would have to count.
    if len(entry.shape) > _MOST_DIMENSIONS or math.prod(max(1, n) for n in entry.shape) > _MOST_VALUES:
        raise MalformedError(f"{name} has {len(entry.shape)} dimensions, or more values than any file holds")
    if math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise MalformedError(f"{name} of shape {tuple(entry.shape)} has {entry.size} bytes")
    if entry.offset > len(data) or entry.size > len(data) - entry.offset:
        raise MalformedError(f"{name} ends at byte {entry.offset + entry.size} of {len(data)}: is the file truncated?")
    stored = memoryview(data)[entry.offset : entry.offset + entry.size]
    if sstable.masked_crc32c(stored) != entry.crc:
        raise MalformedError(f"the checksum of {name} is wrong: is the file damaged?")
    return np.frombuffer(stored, dtype).reshape(entry.shape)
