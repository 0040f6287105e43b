"""Neighbours in Python: queries of an open lake's vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from phonolake.analysis.collection.neighbours import Neighbour, Searcher
    from phonolake.store.lake import Lake


class NeighbourQuestions:
    """Searches for similar tracks of a lake.

    Parameters
    ----------
    lake : Lake
    licence : str, optional
        The kind of licences to which the lake is restricted, if any.
    """

    # The libraries behind each question are imported when it is asked: `import phonolake` stays instant.

    def __init__(self, lake: "Lake", licence: str | None = None) -> None:
        self._licence = licence
        self._lake = lake
        # Opened by the first question, since it is what takes long.
        self._searcher: Searcher | None = None

    @property
    def _address(self) -> str:
        """Where the lake lies: what stages write to, also where `path` is that of copies."""
        return str(self._lake.place)

    @property
    def searcher(self) -> "Searcher":
        """The open searcher of `similar` and `similar_many`, which returns plain rows.

        Making a pandas frame takes longer than most searches.
        """
        from phonolake.analysis.collection.neighbours import Searcher

        if self._searcher is None:
            self._searcher = Searcher(self._lake, on_gpu=True)
        return self._searcher

    def similar(
        self,
        track_or_file: "str | Path | Sequence[str | Path]" = (),
        *,
        text: str | None = None,
        k: int = 10,
        where: str | None = None,
        model: str | None = None,
        unlike: "Sequence[str | Path]" = (),
        combine: str = "centroid",
        per_artist: int | None = None,
        span: tuple[float, float] | None = None,
    ) -> "pd.DataFrame":
        """The k tracks that sound most like stored tracks or audio files, among the published ones.

        The index stays open for the next query.

        Parameters
        ----------
        track_or_file : str or Path, or several
            Track ids or paths.
        text : str, optional
            Description of the sound, alone or with tracks; needs a model with a text tower (CLAP).
        k : int
            How many.
        where : str, optional
            SQL condition over `tracks`.
        model : str, optional
            Model or run of the embeddings; the newest by default.
        unlike : sequence of str or Path
            Tracks or files to move away from.
        combine : {"centroid", "best"}
            Whether to search near the mean of several, or near any of them.
        per_artist : int, optional
            Maximum number of tracks of one artist.
        span : (float, float), optional
            Start and end in seconds of the part to compare, of one track or file.

        Returns
        -------
        pandas.DataFrame
            Columns rank, track_id, similarity, title, artist, labels; best first.
        """
        from phonolake.analysis.collection.neighbours import SimilarityQuestion

        several = [track_or_file] if isinstance(track_or_file, str | Path) else track_or_file
        like, other = (tuple(str(name) for name in names) for names in (several, unlike))
        asked = SimilarityQuestion(like, other, k, where, model, combine, per_artist, span, text)
        return _neighbours(self.searcher.ask(asked))

    def similar_many(
        self, track_ids: "Sequence[str]", *, k: int = 10, where: str | None = None, model: str | None = None
    ) -> "pd.DataFrame":
        """The k tracks that sound most like each of many, in one query.

        Returns
        -------
        pandas.DataFrame
            Columns asked, rank, track_id, similarity, title, artist, labels, in the order of the queries.
        """
        found = self.searcher.similar_many(track_ids, k=k, where=where, model_or_run=model)
        frame = _neighbours([neighbour for each in found for neighbour in each])
        frame.insert(0, "asked", [asked for asked, each in zip(track_ids, found, strict=True) for _ in each])
        return frame

    def neighbour_graph(self, k: int = 20, *, model: str | None = None) -> "pd.DataFrame":
        """The k nearest of every track, as in `phonolake neighbours graph`; missing ones are computed.

        Returns
        -------
        pandas.DataFrame
            Columns track_id, rank, other_id, similarity, in order of the ids and ranks.
        """
        from phonolake.stages import neighbour_graph
        from phonolake.store import query

        outcome = neighbour_graph.run(neighbour_graph.Config(self._address, k, model, self._licence))
        with query.connect(self._lake) as connection:
            found = connection.sql(
                "SELECT track_id, rank, other_id, similarity FROM neighbours "
                "WHERE 'neighbours-' || run_id || '-' || config_hash = $1 ORDER BY track_id, rank",
                params=[outcome.run_id],
            )
            return query.arrow(found).to_pandas()

    def triplet_agreement(self, model: str | None = None, *, confidence: float = 0.95) -> "pd.DataFrame":
        """How often embeddings agree with people about which of two tracks sounds more like a third; chance is 1/2.

        Parameters
        ----------
        model : str, optional
            Model or run; all that have embeddings by default.
        confidence : float
            Probability that an interval covers the true share, in (0, 1).

        Returns
        -------
        pandas.DataFrame
            Columns model, run_id, drawn ("random" or "neighbours"), n_triplets, n_answers, n_raters, agreed, low, high,
            raters_agreed; shares in [0, 1], with a Wilson interval over triplets.
        """
        import pandas as pd

        from phonolake.analysis.results import triplet_agreement
        from phonolake.store import query

        with query.connect(self._lake) as connection:
            found = triplet_agreement.agreement(connection, model, confidence=confidence)
        return pd.DataFrame(found, columns=list(triplet_agreement.TripletAgreement.__dataclass_fields__))

    def neighbour_path(self, start: str, end: str, *, model: str | None = None) -> "pd.DataFrame":
        """The path from one track to another along the neighbour graph, in steps that sound alike.

        Returns
        -------
        pandas.DataFrame
            Columns step, track_id, similarity to the step before, title, artist.
        """
        import pandas as pd

        from phonolake.analysis.collection.neighbour_paths import PathStep

        found = self.searcher.path(start, end, model_or_run=model)
        return pd.DataFrame(found, columns=list(PathStep.__dataclass_fields__))


def _neighbours(found: "Sequence[Neighbour]") -> "pd.DataFrame":
    import numpy as np

    from phonolake.lookup import frames

    return frames.made(
        {
            "rank": np.array([n.rank for n in found], np.int64),
            "track_id": [n.track_id for n in found],
            "similarity": np.array([n.similarity for n in found], np.float64),
            "title": [n.title for n in found],
            "artist": [n.artist for n in found],
            "labels": [n.labels for n in found],
        }
    )
