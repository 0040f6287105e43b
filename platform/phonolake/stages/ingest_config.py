"""What to ingest, and what counts as usable."""

from dataclasses import dataclass
from pathlib import Path

from phonolake.lineage import digest
from phonolake.store import mirror

MAX_CLIPPED = 0.1
MAX_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Config:
    """What to ingest, and what counts as usable.

    Parameters
    ----------
    lake, root : str
        The lake, and the folder that holds the source's layout.
    source : str
        Name of a module in `sources`.
    dataset : str, optional
        First half of the track ids; the source's name, or for ``folder`` the name of the folder, by default.
    shard_bytes : int
        Encoded audio in one shard, at most (a single larger file has a shard of its own).
    min_seconds : float
        Shorter recordings are rejected as ``too-short``.
    silence_dbfs : float
        Recordings whose loudest sample lies below are rejected as ``silent``.
    max_clipped : float
        Recordings with a larger share of samples at full scale, in tops of at most 1.5 ms, are rejected as
        ``clipped``. The worst of 408 real recordings (ESC-10 and others) has 0.008.
    max_seconds : float, optional
        Longer recordings are rejected as ``too-long``; without it any length is accepted.
    max_bytes : int
        Larger files are rejected as ``too-large``: no WAV file can be larger than the default.
    options : tuple of str
        Options of the dataset, as ``key=value`` (`sources.options`).
    follow_links : bool
        Accept files behind links out of the root; otherwise they are rejected as ``outside``.
    split_genres : bool
        Whether a genre such as ``"Rock; Pop / Indie"`` in a file's own tags is three labels; otherwise it is one.
    join : bool
        Whether to add files of another folder to a dataset of the lake, which is refused otherwise.
    prune : bool
        Whether to remove tracks and rejects whose files no longer exist.
    """

    lake: str
    root: str
    source: str = "folder"
    dataset: str | None = None
    shard_bytes: int = 128 << 20
    min_seconds: float = 0.5
    silence_dbfs: float = -70.0
    max_clipped: float = MAX_CLIPPED
    max_bytes: int = MAX_BYTES
    options: tuple[str, ...] = ()
    follow_links: bool = False
    split_genres: bool = False
    join: bool = False
    prune: bool = False
    max_seconds: float | None = None

    @property
    def dataset_name(self) -> str:
        if self.dataset or self.source != "folder":
            return self.dataset or self.source
        if mirror.is_remote(self.root):
            return "/".join(mirror.split(self.root)).rstrip("/").rpartition("/")[2]
        return Path(self.root).expanduser().resolve().name

    @property
    def fingerprint(self) -> str:
        """Hash of everything that determines a row, without the place and the grouping of the files."""
        usable = [self.source, self.dataset_name, self.min_seconds, self.silence_dbfs, self.max_bytes]
        chosen = [sorted(self.options), self.follow_links]
        # Keep the hashes of lakes from before this threshold existed.
        chosen += [self.max_clipped] if self.max_clipped != MAX_CLIPPED else []
        chosen += [f"max-seconds={self.max_seconds}"] if self.max_seconds is not None else []
        chosen += ["split-genres"] if self.split_genres else []
        return digest(usable + chosen if any(chosen) else usable)
