"""Who is responsible for a library's error, and the message for it.

What we raise says itself what to do. What others raise reaches a person only from here: the machine's faults and those
of the data get a line that says what to look at, and "report it" is for what is left, which is ours.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb

from phonolake.errors import whole_reason

USAGE, FAILURE = 2, 1
OURS = "run again with --debug and report it"

MEMORY = "the memory is not enough ({error}): free some, give Ray fewer cores, or take less at a time"
DISK = "the disk is full: free some space and run the same command again; finished shards are kept"
LAKE = "the lake cannot be read ({error}): `phonolake verify` names what is damaged"
LOG = "a table's log cannot be read or written ({error}): `phonolake verify` looks at all of them"
RAY = "Ray could not finish the work ({error}): run the same command again"
GPU = "the device failed ({error}): try --device cpu"
SOUND = "a recording cannot be decoded ({error}): `phonolake verify` checks those of the lake"
NUMBERS = "these data cannot be used for training or comparison ({error}): look at them with `phonolake sql`"
WEIGHTS = "stored weights cannot be read ({error}): train, import or fetch the model again"
TEXT = "a name or a file is not valid text here ({error})"
FILE = "a file is damaged, or not of the type that its name says ({error})"
NET = "the network or the server failed ({error}): run the same command again later"
CUT = "it was interrupted: run the same command again"
HOME = "a path begins with ~, and this user has no home folder: write it in full"
OUTPUT = "standard output was closed: not all was printed"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of error, including its subclasses, and its message; None: it is a bug."""

    name: str
    says: str | None


# By the qualified name of the class, so that no library is loaded to look. The first match counts.
FOREIGN = (
    # Our own SQL is wrong. Errors in users' SQL are explained where it runs, see `store.query`.
    *(
        Foreign(f"_duckdb.{kind}Exception", None)
        for kind in ("Parser", "Syntax", "Binder", "Catalog", "NotImplemented")
    ),
    *(Foreign(f"_duckdb.{kind}Exception", None) for kind in ("Internal", "Fatal", "InvalidType", "Connection")),
    Foreign("_duckdb.InterruptException", CUT),
    Foreign("_duckdb.OutOfMemoryException", MEMORY),
    Foreign("_duckdb.HTTPException", NET),
    Foreign("_duckdb.Error", LAKE),
    Foreign("pyarrow.lib.ArrowMemoryError", MEMORY),
    Foreign("pyarrow.lib.ArrowCancelled", CUT),
    Foreign("pyarrow.lib.ArrowException", LAKE),
    Foreign("_internal.DeltaError", LOG),
    Foreign("ray.exceptions.OutOfMemoryError", MEMORY),
    Foreign("ray.exceptions.OutOfDiskError", DISK),
    Foreign("ray.exceptions.RayError", RAY),
    Foreign("torch.OutOfMemoryError", MEMORY),
    Foreign("torch.AcceleratorError", GPU),
    Foreign("torch.cuda.CudaError", GPU),
    Foreign("torch.distributed.DistError", RAY),
    Foreign("av.error.HTTPError", NET),
    Foreign("av.error.FFmpegError", SOUND),
    Foreign("soundfile.SoundFileError", SOUND),
    Foreign("mutagen.MutagenError", SOUND),
    Foreign("librosa.util.exceptions.LibrosaError", NUMBERS),
    Foreign("numpy.linalg.LinAlgError", NUMBERS),
    Foreign("scipy.sparse.linalg._eigen.arpack.arpack.ArpackError", NUMBERS),
    Foreign("sklearn.exceptions.NotFittedError", NUMBERS),
    Foreign("xgboost.core.XGBoostError", NUMBERS),
    Foreign("safetensors._safetensors_rust.SafetensorError", WEIGHTS),
    Foreign("skops.io.exceptions.UntrustedTypesFoundException", WEIGHTS),
    Foreign("skops.io.exceptions.UnsupportedTypeException", WEIGHTS),
    Foreign("_pickle.UnpicklingError", WEIGHTS),
    Foreign("yt_dlp.utils.YoutubeDLError", NET),
    Foreign("http.client.HTTPException", NET),
    Foreign("urllib.error.URLError", NET),
    Foreign("json.decoder.JSONDecodeError", FILE),
    Foreign("_csv.Error", FILE),
    Foreign("sqlite3.Error", FILE),
    Foreign("xml.etree.ElementTree.ParseError", FILE),
    Foreign("zipfile.BadZipFile", FILE),
    Foreign("tarfile.TarError", FILE),
    Foreign("zlib.error", FILE),
    Foreign("_lzma.LZMAError", FILE),
    Foreign("builtins.EOFError", FILE),
    Foreign("builtins.UnicodeError", TEXT),
    Foreign("builtins.MemoryError", MEMORY),
)
# Raised in a library these say that it was given what it cannot take: values, sizes, states. What is not among them is
# how a program goes wrong that calls it.
REFUSALS = (ValueError, ArithmeticError, RuntimeError)
# Where h5py, faiss and others say by an error of Python itself what is wrong.
LIBRARIES = {
    "faiss": "an index cannot be built or searched ({error}): `phonolake index --again` builds it anew",
    "h5py": FILE,
    "numpy": NUMBERS,
    "scipy": NUMBERS,
    "sklearn": NUMBERS,
    "xgboost": NUMBERS,
    "torch": NUMBERS,
    "umap": NUMBERS,
    "soxr": SOUND,
    "soundfile": SOUND,
    "av": SOUND,
    "mutagen": SOUND,
    "pandas": FILE,
    # A connection that is lost, and a cluster whose head is gone.
    "ray": RAY,
    "grpc": RAY,
}


def explain(error: Exception) -> tuple[str, int]:
    """A one-line message for an unexplained error, and the exit code."""
    if disk_full(error):
        return DISK, FAILURE
    if isinstance(error, BrokenPipeError):
        return OUTPUT, FAILURE
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return HOME, USAGE
    for foreign in FOREIGN:
        if any(foreign.name == f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__):
            return _said(foreign.says, error), FAILURE
    library = raised_in(error)
    if isinstance(error, OSError) and library not in ("ray", "grpc"):
        return _of_the_system(error), FAILURE
    if isinstance(error, (*REFUSALS, OSError)) and library in LIBRARIES:
        return _said(LIBRARIES[library], error), FAILURE
    return _said(None, error), FAILURE


def disk_full(error: BaseException | None) -> bool:
    """Whether the cause was a full disk, whichever library met it first."""
    return any(
        (isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left on device" in str(e)
        for e in _causes(error)
    )


def raised_in(error: BaseException) -> str:
    """The library in which an error was raised, by the folder below `site-packages`."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    parts = Path(frames[-1].f_code.co_filename).parts if frames else ()
    return parts[parts.index("site-packages") + 1].removesuffix(".py") if "site-packages" in parts else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _said(says: str | None, error: Exception) -> str:
    if says is None:
        return f"{type(error).__name__}: {error}; {OURS}"
    # Ray wraps reasons of others, such as those of pip, which stand anywhere.
    return says.format(error=whole_reason(error) if says is RAY else _first_line(error))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _of_the_system(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    said = f"{error.strerror or _first_line(error)}{where}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{said}; it must be readable, and where something is kept writable, for this user"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{said}; allow more open files (ulimit -n)"
    return said
