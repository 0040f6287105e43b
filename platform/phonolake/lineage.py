"""Identity of work: the same configuration with the same inputs has the same name."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

CODE_VERSION = "0.1.0"
# Of a digest, as a rule.
DIGITS = 12


def canonical(value: Any) -> str:
    """JSON with sorted keys; dataclasses become objects and paths become text."""
    return _ENCODER.encode(value)


def digest(value: Any, *, length: int = DIGITS) -> str:
    """Hexadecimal digest of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:length]


def fingerprint(ids: Iterable[str]) -> str:
    """A fingerprint of a set of clips in any order, as in `metrics.clips`; ``""`` for none."""
    listed = sorted(set(ids))
    return digest(listed) if listed else ""


def settings(config: Any) -> dict[str, Any]:
    """A stage's configuration without the lake that it ran on: a lake that was moved or copied is the same lake."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name != "lake"}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


# Made once: an ingest of millions asks for as many digests.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)
