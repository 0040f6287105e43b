"""One file of the Python package index, got by pip and checked; nothing of it is installed or executed."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from phonolake.errors import PhonolakeError

TIMEOUT_SECONDS = 900


def download(requirement: str, wheel: Path, *, sha256: str) -> None:
    """Let pip download a wheel unless it is there; it appears complete and checked, or not at all.

    Pip uses its own configuration: ``PIP_INDEX_URL``, ``PIP_FIND_LINKS`` and its files.

    Parameters
    ----------
    requirement : str
        Name and exact version, such as ``musicnn==0.1.0``.
    wheel : Path
        Target; its name is that of the file in the index.
    sha256 : str
        Of the published file.

    Raises
    ------
    PhonolakeError
        When pip is missing, finds nothing, takes too long, or downloads another file.
    """
    if wheel.is_file() and _sha256(wheel) == sha256:
        return
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=wheel.parent) as folder:
        # A wheel is an archive; for a source distribution pip would run the set-up script.
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet"]
        options += ["--timeout", "30", "--retries", "2"]
        _pip(requirement, ["download", *options, "--dest", folder, requirement])
        found = Path(folder) / wheel.name
        if not found.is_file():
            brought = ", ".join(sorted(path.name for path in Path(folder).iterdir())) or "nothing"
            raise PhonolakeError(f"pip downloaded {brought} for {requirement} instead of {wheel.name}")
        if (got := _sha256(found)) != sha256:
            raise PhonolakeError(f"pip downloaded another {wheel.name}: its sha256 is {got}, not {sha256}")
        found.replace(wheel)


def _pip(requirement: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PhonolakeError(f"pip cannot download {requirement}: {error}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        wrong = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        raise PhonolakeError(f"pip cannot download {requirement} ({wrong.removeprefix('ERROR: ')})")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
