"""Where a training stands after an epoch, on disk, so that one that was killed goes on from there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from uuid import uuid4

import torch

from phonolake.errors import PhonolakeError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file that holds tensors and plain values, and nothing that could run when it is read."""

    path: Path

    def save(self, state: Mapping[str, Any]) -> None:
        """Put `state` in the place of what was there, in one rename."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{uuid4().hex[:8]}.tmp")
        try:
            with open(temporary, "wb") as file:
                torch.save(dict(state), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None before the first time.

        Raises
        ------
        PhonolakeError
            If the file cannot be read.
        """
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise PhonolakeError(
                f"the checkpoint {self.path} cannot be read ({error}): delete it to begin the training again"
            ) from error
        return state
