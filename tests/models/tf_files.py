"""Small checkpoints of TensorFlow, written from the description of their format: what the reader is held against."""

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np

NUMBERS = {"<f4": 1, "<f8": 2, "<i4": 3, "<i8": 9, "<f2": 19}


def remainder(crc: int) -> int:
    """Of a byte, bit by bit, as the polynomial says."""
    for _ in range(8):
        crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc


REMAINDERS = [remainder(byte) for byte in range(256)]


@cache
def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = REMAINDERS[(crc ^ byte) % 256] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def block(pairs: Iterable[tuple[bytes, bytes]], restart_every: int = 4) -> bytes:
    """Keys in order, each without what it shares with the one before, apart from every fourth."""
    out, restarts, before = b"", [], b""
    for n, (key, value) in enumerate(pairs):
        shared = 0
        if n % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return out + b"".join(struct.pack("<I", place) for place in (*restarts, len(restarts)))


def table(
    pairs: list[tuple[bytes, bytes]], *, per_block: int = 5, change: Callable[[bytes], bytes] = lambda content: content
) -> bytes:
    """A sorted string table; `change` is applied to what is in each block before its checksum is taken."""
    out, index = b"", []

    def put(content: bytes) -> bytes:
        nonlocal out
        content = change(content)
        handle = varint(len(out)) + varint(len(content))
        out += content + b"\0" + masked(content + b"\0")
        return handle

    for first in range(0, len(pairs), per_block):
        some = pairs[first : first + per_block]
        index.append((some[-1][0] + b"~", put(block(some))))
    handles = put(block([])) + put(block(index, restart_every=1))
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def checkpoint(
    tensors: Mapping[str, np.ndarray], *, header: bytes = number(1, 1), **options: object
) -> tuple[bytes, bytes]:
    """Index and data of a checkpoint in one file."""
    data, entries = b"", [(b"", header)]
    for name, array in sorted(tensors.items()):
        content = array.tobytes()
        shape = b"".join(message(2, number(1, size)) for size in array.shape)
        entry = number(1, NUMBERS[array.dtype.str]) + message(2, shape) + number(4, len(data))
        entry += number(5, len(content)) + varint(6 << 3 | 5) + masked(content)
        entries.append((name.encode(), entry))
        data += content
    return table(entries, **options), data  # type: ignore[arg-type]


def meta_graph(pools: Iterable[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    """A graph of max-pooling layers (name, size, stride; batch, height, width, channels) among other nodes."""
    nodes = [message(1, b"x") + message(2, b"Placeholder")]
    for name, size, stride in pools:
        attributes = {
            "ksize": message(1, message(3, b"".join(map(varint, size)))),  # packed
            "strides": message(1, b"".join(varint(3 << 3) + varint(step) for step in stride)),  # one by one
            "padding": message(2, b"VALID"),
            "T": varint(6 << 3) + varint(1),
        }
        node = message(1, name.encode()) + message(2, b"MaxPool") + message(3, b"x")
        nodes.append(
            node + b"".join(message(5, message(1, key.encode()) + message(2, v)) for key, v in attributes.items())
        )
    return message(1, message(4, b"1.14")) + message(2, b"".join(message(1, node) for node in nodes))
