"""Shared by imports of networks: the probe clip, names, and the places of a network."""

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import soundfile as sf

from phonolake.errors import UsageError
from phonolake.features import contract
from phonolake.inference.outside import RecordingFile
from phonolake.lineage import CODE_VERSION, digest
from phonolake.models import home, registry, storage
from phonolake.models.network import Network
from phonolake.records import Seconds
from phonolake.stages import imported
from phonolake.stages.import_model import register
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome

# The probe clip: ten seconds of three tones at 44.1 kHz, each of amplitude 0.1.
PROBE_HZ, PROBE_SECONDS, PROBE_SR = (220.0, 880.0, 3_520.0), 10, 44_100


def probe() -> RecordingFile:
    """The probe clip."""
    time = np.arange(PROBE_SECONDS * PROBE_SR) / PROBE_SR
    y = sum(0.1 * np.sin(2 * np.pi * hertz * time) for hertz in PROBE_HZ)
    data = io.BytesIO()
    sf.write(data, np.asarray(y, np.float32), PROBE_SR, format="WAV", subtype="FLOAT")
    return RecordingFile(data.getvalue(), Seconds(float(PROBE_SECONDS)))


def check_name(name: str) -> None:
    """Raise a `UsageError` for the name of a built-in model, or one that cannot be a folder."""
    imported.check_name(name, "the name", {*registry.names(), *registry.foreign(), *contract.feature_sets()})
    if "/" in name or name.startswith("."):
        raise UsageError(f"the name {name!r} must not contain '/' or begin with a dot: choose another with --name")


def keep(network: Network, card: Mapping[str, Any], config: Any, lake: Lake | None, started: datetime) -> Outcome:
    """Store a network in the model home under the name on its card, and as a run of the lake if there is one."""
    kept = {**card, "code_version": CODE_VERSION}
    name = str(card["name"])
    storage.save(network, kept, home.place(name))
    outcome = Outcome("import", f"{name}-{digest(kept)}", 0, 0, 0, name)
    if lake is not None:
        register(lake, config, network, kept, outcome, started)
    return outcome
