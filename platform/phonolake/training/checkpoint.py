"""The state of a training after an epoch, on disk, so that a killed training continues from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from phonolake.errors import PhonolakeError
from phonolake.files import replacing


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file with tensors and plain values, without code that could run when it is read."""

    path: Path

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stored state with `state`, in one rename."""
        with replacing(self.path) as temporary:
            torch.save(dict(state), temporary)

    def load(self) -> dict[str, Any] | None:
        """The stored state; None before the first time.

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
                f"the checkpoint {self.path} cannot be read ({error}): delete it to start the training again"
            ) from error
        return state
