"""Filters: the preferred frequencies of the layers of a network on raw audio, as a figure and a table.

The figure is Fig. 2 of Lee et al. 2017 for any of their networks: spectra of the waveforms that excite each filter
most, sorted by the frequency of their peak.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import here, replacing
from phonolake.lookup import licences, licensed, runs
from phonolake.models import filters as listening
from phonolake.models import home, storage
from phonolake.models.filters import Layer
from phonolake.models.loaded import LoadedModel
from phonolake.models.loaded_network import LoadedNetwork
from phonolake.models.sample_level import SR, SampleCNN
from phonolake.store import catalog, trained
from phonolake.store.lake import Lake

FIGURE, TABLE = "filters.png", "filters.parquet"


@dataclass(frozen=True, slots=True)
class Config:
    """Which network to analyse.

    Parameters
    ----------
    model : str
        A run, or the name of a model (its newest run); without a lake, a model of the model home.
    out : str
        Folder for the figure and the table.
    lake : str, optional
    steps : int
        Steps of gradient ascent.
    seed : int
        Decides the initial noise.
    licence : str, optional
        Only models under licences of this kind.
    """

    model: str
    out: str
    lake: str | None = None
    steps: int = 30
    seed: int = 0
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer: how many filters, and the quartiles of the frequencies of their peaks in hertz."""

    layer: int
    filters: int
    lower_hz: float
    median_hz: float
    upper_hz: float


def run(config: Config) -> list[LayerSummary]:
    """Write the figure and the table; one summary per layer.

    Raises
    ------
    UsageError
        For an unknown model or run, or one that does not read raw audio layer by layer.
    PhonolakeError
        When the lake has no models.
    """
    out = here(config.out)
    if config.lake is None:
        loaded = home.load(config.model)
        licences.check_card(config.model, loaded.card, config.licence)
    else:
        loaded = _of_lake(licensed.opened(config.lake, config.licence), config.model)
    if not isinstance(loaded, LoadedNetwork) or not isinstance(loaded.network, SampleCNN):
        raise UsageError(f"{config.model} is not a sample-level network, and only their filters can be shown")
    layers = list(listening.listen(loaded.network, steps=config.steps, seed=config.seed))
    with replacing(out / TABLE) as temporary:
        pq.write_table(_table(layers), temporary)
    with replacing(out / FIGURE) as temporary:
        _draw(layers, temporary)
    return [_summary(layer) for layer in layers]


def _of_lake(lake: Lake, model_or_run: str) -> LoadedModel:
    with catalog.connect(lake) as connection:
        run = runs.find(runs.model_runs(connection), model_or_run, among=lambda known: known.has_weights)
    if run is None:
        raise PhonolakeError("no model was trained yet: run `phonolake train` first")
    return storage.load(trained.weights(lake.place, run.run_id))


def peaks_hz(layer: Layer) -> np.ndarray:
    """Frequency of the loudest bin of each filter, in hertz."""
    peaks: np.ndarray = layer.magnitude.argmax(axis=1) * SR / listening.N_SAMPLES
    return peaks


def _summary(layer: Layer) -> LayerSummary:
    lower, median, upper = np.quantile(peaks_hz(layer), [0.25, 0.5, 0.75])
    return LayerSummary(layer.number, len(layer.activation), float(lower), float(median), float(upper))


def _table(layers: list[Layer]) -> pa.Table:
    parts = []
    for layer in layers:
        order = layer.order()
        parts.append(
            pa.table(
                {
                    "layer": pa.array(np.full(len(order), layer.number, np.int16)),
                    "rank": pa.array(np.arange(1, len(order) + 1, dtype=np.int32)),
                    "filter": pa.array(order.astype(np.int32)),
                    "peak_hz": pa.array(peaks_hz(layer)[order]),
                    "activation": pa.array(layer.activation[order]),
                    "magnitude": pa.array(list(layer.magnitude[order].astype(np.float32)), pa.list_(pa.float32())),
                }
            )
        )
    return pa.concat_tables(parts)


def _draw(layers: list[Layer], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 * len(layers), 3.2), layout="constrained")
    axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for axis, layer in zip(axes, layers, strict=True):
        spectra_QC = layer.magnitude[layer.order()].T
        axis.imshow(
            spectra_QC, origin="lower", aspect="auto", cmap="magma", extent=(0, spectra_QC.shape[1], 0, SR / 2000)
        )
        axis.set_title(f"layer {layer.number}", fontsize=9)
        axis.set_xlabel("filter, by its peak", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("frequency in kHz", fontsize=8)
    # Without metadata of the drawing program, the same network gives the same bytes.
    figure.savefig(path, dpi=150, format="png", metadata={"Software": None})
