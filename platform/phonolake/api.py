"""The lake in Python: `phonolake.open("L")`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd

    from phonolake.analysis.collection.neighbours import Searcher


class OpenLake:
    """A lake to ask questions of; nothing here changes it.

    Parameters
    ----------
    path : str or Path
        Folder of the lake.

    Raises
    ------
    UsageError
        If there is no lake.
    """

    # The libraries behind each question are imported when it is asked: `import phonolake` stays instant.

    def __init__(self, path: str | Path) -> None:
        from phonolake.store.lake import Lake

        self._lake = Lake.open(path)
        # Opened by the first question, since it is what takes long.
        self._searcher: Searcher | None = None

    @property
    def path(self) -> Path:
        """Folder of the lake."""
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
            If DuckDB refuses the text, or it would change something.
        """
        from phonolake.store import query as reading

        return reading.select(reading.connect(self._lake), query)

    def similar(
        self, track_or_file: str | Path, *, k: int = 10, where: str | None = None, model: str | None = None
    ) -> "pd.DataFrame":
        """The k tracks that sound most like a stored track or an audio file, among what is published now.

        The index stays open for the next question.

        Parameters
        ----------
        track_or_file : str or Path
            Track id or path.
        k : int
            How many.
        where : str, optional
            SQL condition over `tracks`.
        model : str, optional
            Model or run whose embeddings count; the newest by default.

        Returns
        -------
        pandas.DataFrame
            Columns rank, track_id, similarity, title, artist, labels; best first.
        """
        import pandas as pd

        from phonolake.analysis.collection.neighbours import Neighbour, Searcher

        if self._searcher is None:
            self._searcher = Searcher(self._lake)
        found = self._searcher.similar(str(track_or_file), k=k, where=where, model_or_run=model)
        columns = Neighbour.__dataclass_fields__
        return pd.DataFrame({name: [getattr(neighbour, name) for neighbour in found] for name in columns})

    def audio(self, track_id: str) -> bytes:
        """The encoded audio of a track, byte for byte as it was received."""
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            return tracks.read_audio(connection, track_id).data

    def spectrogram(self, track_id: str, name: str = "mel-96-12k") -> "np.ndarray | None":
        """The stored spectrogram of a track, float32 of shape (bands, frames); None where it was not extracted."""
        from phonolake.store import query, tracks

        with query.connect(self._lake) as connection:
            tracks.check_known(connection, track_id)
            return tracks.read_spectrogram(connection, track_id, name)


def open(path: str | Path) -> OpenLake:
    """Open an existing lake.

    Raises
    ------
    UsageError
        If there is no lake at `path`.
    """
    return OpenLake(path)
