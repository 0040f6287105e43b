"""Checkpoints of TensorFlow: what was written is read, and whatever else comes is an error within bounded memory."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from phonolake.errors import PhonolakeError
from phonolake.models.importers import sstable, tf_checkpoint, tf_graph
from phonolake.models.importers.tf_graph import MaxPool

from . import tf_files

RNG = np.random.default_rng(0)
TENSORS = {
    **{f"batch_normalization_{k}/gamma": RNG.normal(size=8).astype("<f4") for k in range(12)},
    "conv2d/kernel": RNG.normal(size=(3, 5, 1, 4)).astype("<f4"),
    "conv2d/kernel/Adam": RNG.normal(size=(3, 5, 1, 4)).astype("<f4"),
    "beta1_power": np.array(0.9, "<f4"),
    "global_step": np.array([7], "<i8"),
}
INDEX, DATA = tf_files.checkpoint(TENSORS)
POOLS = [("model/pool", (1, 4, 1, 1), (1, 2, 2, 1)), ("model/pool_1", (1, 1, 300, 1), (1, 1, 300, 1))]
META = tf_files.meta_graph(POOLS)


def read(index: bytes = INDEX, data: bytes = DATA, wanted: object = tuple(TENSORS)) -> dict[str, np.ndarray]:
    return tf_checkpoint.read("weights", index, [data], wanted)  # type: ignore[arg-type]


# -- what was written --------------------------------------------------------------------------------------------------


def test_the_checksum_is_the_one_of_the_standard() -> None:
    """The check value of CRC-32C, of RFC 3720, B.4."""
    (masked,) = struct.unpack("<I", tf_files.masked(b"123456789"))
    assert tf_files.crc32c(b"123456789") == 0xE3069283
    assert sstable.masked_crc32c(b"123456789") == masked
    assert tf_files.crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize("n", [0, 1, 65_535, 65_536, 66_559, 131_072, 200_001])
def test_long_checksums_are_those_of_byte_after_byte(n: int) -> None:
    content = RNG.bytes(n)
    assert sstable.masked_crc32c(content) == int.from_bytes(tf_files.masked(content), "little")


@given(
    st.dictionaries(
        st.text("abc/_", min_size=1, max_size=9),
        st.sampled_from(sorted(tf_files.NUMBERS)).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=30)
def test_what_was_written_is_read(tensors: dict[str, np.ndarray]) -> None:
    found = read(*tf_files.checkpoint(tensors), wanted=tensors)
    assert set(found) == set(tensors)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_only_what_is_wanted_is_read_and_nothing_is_copied() -> None:
    found = read(wanted=["conv2d/kernel"])
    assert list(found) == ["conv2d/kernel"]
    assert not found["conv2d/kernel"].flags.owndata
    assert not found["conv2d/kernel"].flags.writeable


def test_a_tensor_may_lie_in_another_file() -> None:
    entry = tf_files.number(1, 1) + tf_files.message(2, tf_files.message(2, tf_files.number(1, 1)))
    entry += tf_files.number(3, 1) + tf_files.number(5, 4) + tf_files.varint(6 << 3 | 5)
    value = np.array([2.5], "<f4").tobytes()
    index = tf_files.table([(b"", tf_files.number(1, 2)), (b"x", entry + tf_files.masked(value))])
    found = tf_checkpoint.read("weights", index, [b"", value], ["x"])
    np.testing.assert_array_equal(found["x"], [2.5])
    with pytest.raises(PhonolakeError, match=r"announces 2 data file\(s\), received 1"):
        tf_checkpoint.read("weights", index, [value], ["x"])


def test_pools_of_a_graph_are_read() -> None:
    assert tf_graph.max_pools("graph", META) == [
        MaxPool("model/pool", (4, 1), (2, 2), "VALID"),
        MaxPool("model/pool_1", (1, 300), (1, 300), "VALID"),
    ]


# -- what is wrong -----------------------------------------------------------------------------------------------------


def entry(dtype: int = 1, shape: tuple[int, ...] = (2,), offset: int = 0, size: int = 8, extra: bytes = b"") -> bytes:
    dimensions = b"".join(tf_files.message(2, tf_files.number(1, n)) for n in shape)
    content = tf_files.number(1, dtype) + tf_files.message(2, dimensions) + tf_files.number(4, offset)
    return content + tf_files.number(5, size) + tf_files.varint(6 << 3 | 5) + tf_files.masked(bytes(8)) + extra


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([(b"x", entry())], "its index has no header"),
        ([(b"", tf_files.number(1, 1) + tf_files.number(2, 1)), (b"x", entry())], "big-endian"),
        ([(b"", tf_files.number(1, 1))], "no tensor x"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(dtype=7))], "x is of type 7"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(shape=(3,)))], r"x of shape \(3,\) has 8 bytes"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(shape=(2**62, 2**62)))], "more values than any file"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(shape=(0, *[2**40] * 3), size=0))], "more values than any file"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(offset=4))], "ends at byte 12 of 8: is the file truncated"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(shape=(1,), size=4))], "the checksum of x is wrong"),
        ([(b"", tf_files.number(1, 1)), (b"x", entry(extra=tf_files.message(7, b"")))], "x is partitioned"),
        ([(b"", tf_files.number(1, 1)), (b"x", b"\x08")], "in the middle of a number"),
        ([(b"", tf_files.number(1, 1)), (b"x", b"\x0f")], "unknown kind 7"),
        ([(b"", tf_files.number(1, 1)), (b"x", b"\x08" + b"\xff" * 10)], "more than ten bytes"),
        ([(b"", tf_files.number(1, 1)), (b"x", b"\x10\x01")], "number 1 stands where bytes belong"),
        ([(b"", tf_files.number(1, 1)), (b"x", tf_files.message(1, b"ab"))], "2 bytes stand where a number belongs"),
        ([(b"x", entry()), (b"", tf_files.number(1, 1))], "keys are not in order"),
        ([(b"", tf_files.number(1, 1)), (b"x" * 5000, entry())], "a key shares 0 bytes and adds 5001"),
    ],
)
def test_a_wrong_index_says_what_is_wrong(pairs: list[tuple[bytes, bytes]], says: str) -> None:
    with pytest.raises(PhonolakeError, match=f"^weights cannot be read as a TensorFlow checkpoint: .*{says}"):
        read(tf_files.table(pairs), bytes(8), ["x"])


def test_tensors_that_share_bytes_are_refused() -> None:
    index = tf_files.table([(b"", tf_files.number(1, 1)), (b"x", entry()), (b"y", entry())])
    with pytest.raises(PhonolakeError, match="y lies within another tensor"):
        read(index, bytes(8), ["x", "y"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", INDEX[:-1], INDEX[:60], bytes(48), b"\x89HDF\r\n" * 20])
def test_other_files_are_named(content: bytes) -> None:
    with pytest.raises(PhonolakeError, match=r"weights cannot be read as a TensorFlow checkpoint: its .* do not end"):
        read(content)


def test_a_compressed_block_is_named() -> None:
    content = tf_files.block([(b"", tf_files.number(1, 1))])
    first = content + b"\1" + tf_files.masked(content + b"\1")
    index = tf_files.block([(b"~", tf_files.varint(0) + tf_files.varint(len(content)))])
    footer = tf_files.varint(0) * 2 + tf_files.varint(len(first)) + tf_files.varint(len(index))
    whole = first + index + b"\0" + tf_files.masked(index + b"\0")
    with pytest.raises(PhonolakeError, match="compressed"):
        read(whole + footer.ljust(40, b"\0") + struct.pack("<Q", sstable.MAGIC))


def test_a_block_that_is_listed_twice_is_refused() -> None:
    """Or a small file could ask for its largest block to be summed up without end."""
    content = tf_files.block([(b"", tf_files.number(1, 1))])
    first = content + b"\0" + tf_files.masked(content + b"\0")
    handle = tf_files.varint(0) + tf_files.varint(len(content))
    index = tf_files.block([(b"a", handle), (b"b", handle)])
    footer = tf_files.varint(0) * 2 + tf_files.varint(len(first)) + tf_files.varint(len(index))
    whole = first + index + b"\0" + tf_files.masked(index + b"\0")
    with pytest.raises(PhonolakeError, match="lies within the one before"):
        read(whole + footer.ljust(40, b"\0") + struct.pack("<Q", sstable.MAGIC))


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        (tf_files.meta_graph([("pool", (1, 2, 2, 3), (1, 2, 2, 1))]), r"pool pools over \(1, 2, 2, 3\)"),
        (tf_files.message(2, tf_files.message(1, tf_files.message(2, b"MaxPool"))), "has no ksize"),
        (tf_files.message(2, tf_files.message(1, tf_files.message(2, b"\xff"))), "no text in UTF-8"),
        (META[:-1], "are announced where"),
    ],
)
def test_a_wrong_graph_says_what_is_wrong(meta: bytes, says: str) -> None:
    with pytest.raises(PhonolakeError, match=f"^graph cannot be read as a graph of TensorFlow: .*{says}"):
        tf_graph.max_pools("graph", meta)


# -- mutations ---------------------------------------------------------------------------------------------------------


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bits turned, bytes set, cut out, put in, doubled or cut off, up to three times."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = (int(rng.integers(0, max(1, len(changed)))) for _ in range(2))
        length %= 24
        match rng.integers(6):
            case 0 if changed:
                changed[at] ^= 1 << rng.integers(8)
            case 1 if changed:
                changed[at] = rng.choice([0, 1, 127, 128, 255])
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = rng.bytes(length)
            case 4:
                changed[at:at] = changed[at : at + length]
            case 5:
                del changed[int(rng.integers(0, len(changed) + 1)) :]
    return bytes(changed)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Some hundred kilobytes above what the files have, whatever they claim."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 40 * (len(INDEX) + len(DATA)) + 200_000
    finally:
        tracemalloc.stop()


def survive(seed: int) -> bool:
    """Read one mutation of the files; whether it was read at all."""
    rng = np.random.default_rng(seed)
    index, data = (mutated(INDEX, rng), DATA) if rng.random() < 0.7 else (INDEX, mutated(DATA, rng))
    try:
        with bounded_memory():
            found = read(index, data)
    except PhonolakeError:
        return False
    assert set(found) == set(TENSORS)
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    return True


def survive_with_checksums(seed: int) -> bool:
    """Likewise, of blocks that were changed before their checksums were taken: no more comes out than there is."""
    rng = np.random.default_rng(seed)
    index, data = tf_files.checkpoint(
        TENSORS, change=lambda block: mutated(block, rng) if rng.random() < 0.4 else block
    )
    try:
        with bounded_memory():
            found = read(index, data)
    except PhonolakeError:
        return False
    assert sum(array.nbytes for array in found.values()) <= len(data)
    return True


def survive_graph(seed: int) -> bool:
    meta = mutated(META, np.random.default_rng(seed))
    try:
        with bounded_memory():
            pools = tf_graph.max_pools("graph", meta)
    except PhonolakeError:
        return False
    assert all(isinstance(number, int) for pool in pools for number in (*pool.size, *pool.stride))
    return True


@pytest.mark.parametrize("attempt", [survive, survive_with_checksums, survive_graph])
@pytest.mark.parametrize("n", [50, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_mutation_is_an_error_or_the_right_tensors_in_bounded_memory(attempt: Callable[[int], bool], n: int) -> None:
    outcomes = [attempt(seed) for seed in range(n)]
    # Most are noticed; of many, some touch what nobody reads.
    assert n // 4 < outcomes.count(False) < n + (n < 100)
