"""The lake in Python: `phonolake.open("L")`."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonolake.neighbourhood import NeighbourQuestions

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd

    from phonolake.lookup.embeddings import TrackVectors
    from phonolake.lookup.label_matrix import LabelMatrix
    from phonolake.notebook import Track
    from phonolake.training.streams import TensorDataset, TrackStream


class OpenLake(NeighbourQuestions):
    """A lake for queries and for training models. Queries change nothing.

    Tables are pandas frames and arrays with a row for each track, in order of the ids.

    Parameters
    ----------
    path : str or Path
        Folder of the lake.
    licence : str, optional
        Only models, vectors and predictions under licences of this kind, such as ``permissive``.

    Raises
    ------
    UsageError
        If there is no lake, or no such kind of licence.
    """

    # The libraries behind each question are imported when it is asked: `import phonolake` stays instant.

    def __init__(self, path: str | Path, *, licence: str | None = None) -> None:
        from phonolake.lookup import licensed

        super().__init__(licensed.opened(path, licence), licence)

    @property
    def path(self) -> Path:
        """Folder of the lake, or of its local copies if it is on object storage."""
        return self._lake.root

    def sql(self, query: str) -> "duckdb.DuckDBPyRelation":
        """Run a SELECT over the tables and macros.

        Returns
        -------
        duckdb.DuckDBPyRelation
            ``.df()`` gives a pandas frame, ``.to_arrow_table()`` an Arrow table, ``.fetchall()`` plain rows.

        Raises
        ------
        UsageError
            If DuckDB refuses the text, or it is not read-only.
        """
        from phonolake.analysis.collection import similar_sql
        from phonolake.store import query as reading

        connection = reading.connect(self._lake)
        similar_sql.install(connection, self.searcher)
        return reading.select(connection, query)

    # -- one track ----------------------------------------------------------------------------------------------------

    def track(self, track_id: str, *, spectrogram: str = "mel-96-12k") -> "Track":
        """A track with all its metadata; a notebook shows its labels, a player and its spectrogram."""
        from phonolake.errors import AudioError
        from phonolake.lookup import browse
        from phonolake.notebook import MOST_BYTES, Track
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            facts = browse.facts(connection, track_id)
            try:
                audio = (
                    None if facts.container is None else tracks.read_audio(connection, track_id, most_bytes=MOST_BYTES)
                )
            except AudioError:
                audio = None
            return Track(facts, audio, tracks.read_spectrogram(connection, track_id, spectrogram))

    def audio(self, track_id: str) -> bytes:
        """The encoded audio of a track, the original bytes."""
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            return tracks.read_audio(connection, track_id).data

    def audio_samples(self, track_id: str, *, sr: int | None = None) -> "np.ndarray":
        """The decoded audio of a track.

        Parameters
        ----------
        sr : int, optional
            Sampling rate in hertz; the recording's own by default.

        Returns
        -------
        ndarray of float32, shape (n,)
            Mean of the channels, nominally in [-1, 1].
        """
        from phonolake.audio.decode import decode
        from phonolake.records import Hertz
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            found = tracks.read_audio(connection, track_id)
        return decode(found.data, sr=Hertz(sr or found.sr))

    def spectrogram(self, track_id: str, name: str = "mel-96-12k") -> "np.ndarray | None":
        """The stored spectrogram of a track, float32 of shape (bands, frames); None if it was not extracted."""
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            tracks.check_known(connection, track_id)
            return tracks.read_spectrogram(connection, track_id, name)

    # -- all tracks ---------------------------------------------------------------------------------------------------

    def tracks(self, where: str | None = None) -> "pd.DataFrame":
        """The table `tracks` by track id, optionally restricted by an SQL condition."""
        from phonolake.lookup import frames
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            return frames.tracks(connection, where=where)

    def labels_matrix(self, source: str | None = "dataset", *, min_count: int = 1) -> "LabelMatrix":
        """Which track has which label: `track_ids`, `labels` and the sparse matrix `Y_NL` of 0 and 1.

        Parameters
        ----------
        source : str, optional
            Source of the labels; None for all.
        min_count : int
            Leave out labels that fewer tracks have.
        """
        from phonolake.lookup import label_matrix
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            return label_matrix.read_labels(connection, source=source, min_count=min_count)

    def features(self, name: str) -> "pd.DataFrame":
        """A feature set by track id, a float64 column for each value; see `lookup.frames.features` for segments."""
        from phonolake.lookup import frames
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            return frames.features(connection, name)

    def embeddings(self, model: str | None = None) -> "TrackVectors":
        """Embeddings by a model or run, the newest by default: `track_ids`, and `E_ND` of float32.

        Raises
        ------
        UsageError
            For a model without embeddings.
        PhonolakeError
            When the lake has no embeddings at all.
        """
        from phonolake.errors import PhonolakeError
        from phonolake.lookup import embeddings
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            ids = [track_id for (track_id,) in connection.execute("SELECT track_id FROM tracks").fetchall()]
            found = embeddings.read(connection, ids, model=model)
        if found is None:
            raise PhonolakeError("the lake has no embeddings yet: run `phonolake run` or `phonolake score`")
        return found

    def predictions(self, model: str | None = None, *, held_out: bool = False) -> "pd.DataFrame":
        """Probabilities by track id and label, of a model or run, the newest by default.

        With `held_out` only for tracks that the model was not trained on, over all folds of a cross-validation.
        """
        from phonolake.lookup import frames
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            return frames.predictions(connection, model=model, held_out=held_out)

    # -- labels that may be wrong -------------------------------------------------------------------------------------

    def label_noise(self, source: str = "dataset", *, model: str | None = None) -> "pd.DataFrame":
        """How many labels are wrong and missing, all together and each, with 95 % intervals.

        ``frame.attrs["said"]`` is the result in words, also if nothing can be known. See `analysis.labels.noise_rates`.
        """
        import pandas as pd

        from phonolake.analysis.labels import noise_rates
        from phonolake.lookup import held_out
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            noise = noise_rates.estimate(held_out.read_held_out(connection, source=source, model=model))
        frame = pd.DataFrame(noise.rates)
        frame.attrs["said"] = noise.said
        return frame

    def label_suspects(
        self, source: str = "dataset", *, kind: str = "false-positive", model: str | None = None
    ) -> "pd.DataFrame":
        """Labels with which models disagree, the most doubtful first, with the evidence.

        ``frame.attrs["said"]`` is a sentence: how many look wrong, and how many of the first are.

        Parameters
        ----------
        kind : {"false-positive", "missing-positive"}
            Given labels, or missing ones.
        """
        import pandas as pd

        from phonolake.analysis.labels import noise_rates, noise_suspects
        from phonolake.lookup import embeddings, held_out
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            held = held_out.read_held_out(connection, source=source, model=model)
            near = embeddings.read(connection, held.track_ids)
        noise = noise_rates.estimate(held)
        found = noise_suspects.suspects(held, noise, kind=kind, embeddings=near)
        frame = pd.DataFrame(found, columns=list(noise_suspects.LabelSuspect.__dataclass_fields__))
        frame.attrs["said"] = noise_suspects.headline(held, noise, kind=kind)
        return frame

    # -- learning -----------------------------------------------------------------------------------------------------

    def dataset(
        self,
        split: str,
        input: str,
        *,
        part: str = "train",
        fold: int | None = None,
        labels: str = "dataset",
        seconds: float | None = None,
        seed: int = 0,
    ) -> "TrackStream | TensorDataset":
        """Labelled tracks of a part of a split as a torch dataset: pairs of a float32 tensor and its target.

        Parameters
        ----------
        split : str
            Name of a split; of one with folds, `fold` is the test part, the next validates and the others train.
        input : str
            The input: ``spectrogram:mel-96-12k`` or ``audio:16000`` are streamed from the shards as crops, random
            ones of the part ``train``; ``features:NAME`` and ``embeddings:RUN`` are one row for each track.
        part : {"train", "valid", "test"}
        seconds : float, optional
            Length of the crops; that of the median track by default, at most half a minute.

        Raises
        ------
        UsageError
            For an unknown split, part or input.
        """
        from phonolake.stages import datasets, input_choice

        read = input_choice.restricted(self._lake.place, input, self._licence) or input
        asked = datasets.Config(self._address, split, read, part, fold, labels, seconds, seed)
        return datasets.of(asked)

    def train(self, model: str, **options: object) -> "pd.DataFrame":
        """Train a model, as `phonolake train` does, and return its test figures.

        Parameters
        ----------
        **options
            Fields of `phonolake.stages.train.Config`: dataset, labels, split, folds, seed, max_epochs, input ...
        """
        import pandas as pd

        from phonolake.analysis.results import evaluation
        from phonolake.stages import train
        from phonolake.store import query

        outcomes = train.run(self._training(train.Config, model=model, **options))
        with query.connect(self._lake) as connection:
            found = evaluation.on_test(connection, [o.run_id for o in outcomes if o.run_id])
        return pd.DataFrame(found, columns=list(evaluation.FigureOnTest.__dataclass_fields__))

    def crossval(self, *models: str, **options: object) -> "pd.DataFrame":
        """Cross-validate models, as `phonolake crossval` does, and return their figures over the folds, the best first.

        Parameters
        ----------
        **options
            Fields of `phonolake.stages.crossval.Config`: dataset, labels, split, seed, max_epochs, input ...
        """
        import pandas as pd

        from phonolake.analysis.results import evaluation
        from phonolake.stages import crossval
        from phonolake.store import query

        outcomes = crossval.run(self._training(crossval.Config, models=models, **options))
        with query.connect(self._lake) as connection:
            found = evaluation.over_folds(connection, [o.run_id for o in outcomes if o.run_id])
        return pd.DataFrame(found, columns=list(evaluation.FoldSummary.__dataclass_fields__))

    def score(self, *runs: str) -> "pd.DataFrame":
        """Give every track predictions and embeddings of trained models, as `phonolake score` does."""
        import pandas as pd

        from phonolake.stages import score
        from phonolake.store.outcomes import Outcome

        done = score.run(score.Config(self._address, runs, licence=self._licence))
        return pd.DataFrame(done, columns=list(Outcome.__dataclass_fields__))

    def _training(self, kind: type, **given: Any) -> Any:
        """A stage's configuration that reads nothing which this lake does not show; an unknown name: `UsageError`."""
        from phonolake.errors import unknown
        from phonolake.stages import input_choice

        for name in given:
            if name not in kind.__dataclass_fields__:  # type: ignore[attr-defined]
                raise unknown("option", name, set(kind.__dataclass_fields__) - {"lake"})  # type: ignore[attr-defined]
        read = input_choice.restricted(self._lake.place, given.get("input"), self._licence)
        return kind(lake=self._address, **given | ({"input": read} if read else {}))

    # -- in a notebook ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"OpenLake({self._address!r})"

    def _repr_html_(self) -> str:
        rows = self.sql('SELECT "table", n_rows AS rows FROM lake_tables WHERE n_rows > 0 ORDER BY "table"').df()
        return f"<b>{escape(self._address)}</b>{rows.to_html(index=False)}"


def open(path: str | Path, *, licence: str | None = None) -> OpenLake:
    """Open an existing lake.

    Parameters
    ----------
    licence : str, optional
        Only models, vectors and predictions under licences of this kind, such as ``permissive``.

    Raises
    ------
    UsageError
        If there is no lake at `path`, or no such kind of licence.
    """
    return OpenLake(path, licence=licence)
