"""Read sorted string tables in LevelDB's format from untrusted bytes.

A table ends with a footer of 48 bytes, which says where the index block lies; that lists the data blocks, in order, and
these hold keys in order, each without the beginning that it shares with the one before.

References
----------
.. [1] S. Ghemawat, J. Dean, "LevelDB: table format", github.com/google/leveldb, doc/table_format.md.
.. [2] G. Castagnoli, S. Bräuer, M. Herrmann, "Optimization of cyclic redundancy-check codes with 24 and 32 parity
       bits", IEEE Transactions on Communications 41, 1993: the polynomial of CRC-32C.
"""

from collections.abc import Iterator
from functools import cache, reduce
from operator import xor

import numpy as np

from phonolake.models.importers.protobuf import MalformedError, take, varint

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
# After a block: its compression, and its checksum.
_TRAILER = 5
# Longer keys than any writer has; a chain of them could otherwise need the square of the file's size.
LONGEST_KEY = 4096
# Stretches of bytes that a checksum is taken of at once, and from how many bytes on that is quicker.
_LANES, _WORTH_LANES = 1024, 1 << 16


def entries(table: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a table, in order; one block is looked at after the other.

    Raises
    ------
    MalformedError
        If the bytes are no such table, are damaged, or compressed.
    """
    data = memoryview(table)
    if len(data) < FOOTER or int.from_bytes(data[-8:], "little") != MAGIC:
        raise MalformedError(f"its {len(data)} bytes do not end like the index of a checkpoint")
    footer, blocks = data[-FOOTER:-8], data[:-FOOTER]
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    done, last = 0, None
    for _, where in _block(blocks, *index):
        (offset, size), _ = _handle(where, 0)
        # Blocks lie one behind the other, so none is read twice.
        if offset < done:
            raise MalformedError(f"its block at {offset} lies within the one before")
        done = offset + size
        for key, value in _block(blocks, offset, size):
            if last is not None and key <= last:
                raise MalformedError("its keys are not in order")
            last = key
            yield key, value


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(blocks: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    if offset > len(blocks) or size + _TRAILER > len(blocks) - offset:
        raise MalformedError(f"a block of {size} bytes at {offset} lies beyond its end")
    whole = blocks[offset : offset + size + 1]
    if masked_crc32c(whole) != int.from_bytes(blocks[offset + size + 1 : offset + size + _TRAILER], "little"):
        raise MalformedError(f"the checksum of its block at {offset} is wrong")
    if whole[size]:
        raise MalformedError(f"its block at {offset} is compressed, which is not read here")
    block = whole[:size]
    # At the end stand where keys are written in full, and how many places these are.
    n_restarts = int.from_bytes(take(block, max(0, size - 4), 4), "little")
    if n_restarts > (size - 4) // 4:
        raise MalformedError(f"its block at {offset} announces {n_restarts} restarts")
    yield from _entries(block[: size - 4 - 4 * n_restarts])


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    key, at = b"", 0
    while at < len(block):
        shared, at = varint(block, at)
        n_own, at = varint(block, at)
        n_value, at = varint(block, at)
        if shared > len(key) or shared + n_own > LONGEST_KEY:
            raise MalformedError(f"a key shares {shared} bytes and adds {n_own} to one of {len(key)}")
        key = key[:shared] + take(block, at, n_own)
        at += n_own
        value = take(block, at, n_value)
        at += n_value
        yield key, value


def masked_crc32c(data: bytes | memoryview) -> int:
    """CRC-32C, rotated and shifted as LevelDB and TensorFlow store it."""
    crc, rest = _by_lanes(data) if len(data) >= _WORTH_LANES else (0xFFFFFFFF, data)
    table = _crc_table().tolist()
    for byte in rest:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _by_lanes(data: bytes | memoryview) -> tuple[int, bytes | memoryview]:
    """The register behind as many bytes as can be dealt evenly into lanes, and the bytes that are left.

    All lanes advance together, since Python would take most of a second for a network. The register is linear in what
    it held before: 32 lanes of zeros tell what becomes of each of its bits over the length of a lane.
    """
    n_steps = len(data) // _LANES
    bytes_TL = np.frombuffer(data, np.uint8, n_steps * _LANES).reshape(_LANES, n_steps).T.copy()
    table, zeros = _crc_table(), np.zeros(32, np.uint8)
    register = np.concatenate([np.zeros(_LANES, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)])
    register[0] = 0xFFFFFFFF
    for step in bytes_TL:
        register = table[(register ^ np.concatenate([step, zeros])) & 0xFF] ^ (register >> np.uint32(8))
    bits = register[_LANES:].tolist()
    crc = 0
    for lane in register[:_LANES].tolist():
        crc = reduce(xor, (bits[k] for k in range(32) if crc >> k & 1), lane)
    return crc, data[n_steps * _LANES :]


@cache
def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> np.uint32(1) ^ np.uint32(0x82F63B78) * (table & np.uint32(1))
    return table
