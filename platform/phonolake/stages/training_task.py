"""The configuration of a training, and the task for a worker."""

from dataclasses import dataclass
from pathlib import Path

from phonolake.inference import inputs
from phonolake.models import registry, storage
from phonolake.stages.examples import Examples
from phonolake.store import trained, unfinished
from phonolake.store.lake import Lake
from phonolake.store.place import Place
from phonolake.training.recipe import Hardware


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of a training.

    Parameters
    ----------
    model : str
        Name in the registry of models.
    dataset : str, optional
        Tracks of this dataset only.
    labels : str
        Source of the labels to learn (`labels.source`).
    split : str, optional
        Name of a split; the dataset's own, else the random folds, by default.
    folds : tuple of int
        One model for each of these test folds. Empty: one model, tested on the fixed test part or the first fold.
    seed : int
        Decides weights, order and crops.
    max_epochs : int, optional
        Instead of the recipe's, for networks.
    multi_label : bool, optional
        Whether a track may have several labels; by default a network learns several when a track has.
    top_labels : int, optional
        Learn only this many labels, those with the most tracks.
    from_audio : bool
        A network's spectrograms are computed from the stored audio while it is read, not taken from the lake.
    augment : tuple of str
        Augmentations; see `phonolake.training.augmentation.AUGMENTATIONS`.
    preprocessing : str, optional
        Point of the grid of `phonolake.features.preprocessing`; kept with the model and used wherever it is.
    input : str, optional
        What is read instead of the card's: ``features:NAME``, or ``embeddings:MODEL_OR_RUN`` for the vectors that a
        network of the lake gave, by an estimator or embedder; ``spectrogram:NAME`` by a network.
    """

    lake: str
    model: str
    dataset: str | None = None
    labels: str = "dataset"
    split: str | None = None
    folds: tuple[int, ...] = ()
    seed: int = 0
    max_epochs: int | None = None
    multi_label: bool | None = None
    top_labels: int | None = None
    input: str | None = None
    from_audio: bool = False
    augment: tuple[str, ...] = ()
    preprocessing: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One model to train on `input`, which lies in `files`; `n_steps` is the length of a crop, 0 for features."""

    lake: Place
    run_id: str
    config: Config
    fold: int | None
    examples: Examples
    files: tuple[str, ...]
    input: str
    n_steps: int
    hardware: Hardware

    @property
    def folder(self) -> Path:
        return trained.folder(self.lake, self.run_id)

    @property
    def hidden(self) -> Path:
        """The folder of a training's state for a resume after a kill."""
        return self.folder / unfinished.TRAINING

    @property
    def model(self) -> registry.Model:
        return registry.get(self.config.model)

    @property
    def paths(self) -> list[Path]:
        """Shards of what the model reads."""
        return inputs.parse(self.input).paths(Lake(self.lake), self.files)

    @property
    def epochs(self) -> int:
        """Steps that the training takes at most; one for an estimator."""
        return self.config.max_epochs or self.model.CARD.recipe.get("max_epochs", 1)

    @property
    def finished(self) -> bool:
        return (trained.weights(self.lake, self.run_id) / storage.CARD_FILE).is_file()
