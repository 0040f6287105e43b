"""Protocol buffers on the wire: the subset that TensorFlow's files need, from untrusted bytes.

References
----------
.. [1] Google, "Protocol Buffers: Encoding", protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

# What a field holds: a number, or bytes (text, a message, packed numbers).
Value = int | memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


class MalformedError(ValueError):
    """Malformed bytes; the message describes the fault."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a whole number of 7 bits a byte, the lowest first.

    Returns
    -------
    value : int
        Below 2^64.
    after : int
        Where the next byte lies.

    Raises
    ------
    MalformedError
        If the bytes end before it does, or it is longer than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise MalformedError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise MalformedError("a number has more than ten bytes")
    if value >> 64:
        raise MalformedError("a number has more than 64 bits")
    return value, at


def take(data: memoryview, at: int, size: int) -> memoryview:
    """The `size` bytes from `at` on; `MalformedError` if there are fewer."""
    if size > len(data) - at:
        raise MalformedError(f"{size} bytes are announced where {len(data) - at} are left")
    return data[at : at + size]


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in order, without copying; nested messages come as bytes.

    Raises
    ------
    MalformedError
        If the bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = varint(message, at)
            yield number, value
        elif kind == _BYTES:
            size, at = varint(message, at)
            part = take(message, at, size)
            at += size
            yield number, part
        elif kind in _FIXED:
            part = take(message, at, _FIXED[kind])
            at += len(part)
            yield number, int.from_bytes(part, "little")
        else:
            raise MalformedError(f"field {number} is of the unknown kind {kind}")


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The fields with a number that hold bytes."""
    for found, value in fields(message):
        if found == number:
            yield as_bytes(value)


def as_bytes(value: Value) -> memoryview:
    """A value that must be bytes."""
    if isinstance(value, int):
        raise MalformedError(f"the number {value} stands where bytes belong")
    return value


def as_number(value: Value) -> int:
    """A value that must be a number."""
    if not isinstance(value, int):
        raise MalformedError(f"{len(value)} bytes stand where a number belongs")
    return value


def numbers(values: list[Value]) -> tuple[int, ...]:
    """A repeated number, one a field or packed into one."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            found.append(number)
    return tuple(found)


def text(value: Value) -> str:
    """A value that must be text in UTF-8."""
    try:
        return bytes(as_bytes(value)).decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a name is no text in UTF-8") from error
