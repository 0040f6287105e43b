"""Sorted string tables of LevelDB's kind, read from bytes that nobody vouches for.

A table ends with a footer of 48 bytes, which says where the index block lies; that lists the data blocks, in order, and
these hold keys in order, each without the beginning that it shares with the one before.

References
----------
.. [1] S. Ghemawat, J. Dean, "LevelDB: table format", github.com/google/leveldb, doc/table_format.md.
.. [2] G. Castagnoli, S. Bräuer, M. Herrmann, "Optimization of cyclic redundancy-check codes with 24 and 32 parity
       bits", IEEE Transactions on Communications 41, 1993: the polynomial of CRC-32C.
"""

from collections.abc import Iterator
from functools import cache

from phonolake.models.importers.protobuf import MalformedError, take, varint

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
# Behind a block: how it is compressed, and its checksum.
_TRAILER = 5
# Longer keys than any writer has; a chain of them could otherwise need the square of the file's size.
LONGEST_KEY = 4096


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
    """CRC-32C, rotated and shifted as LevelDB and TensorFlow store it.

    Some 10 MB/s: enough for the weights of a network, without a package of its own.
    """
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)
