"""FAISS, which comes in two distributions that own the same module."""

from typing import Any

from phonolake.errors import PhonolakeError


def load_faiss() -> Any:
    """Import FAISS.

    Raises
    ------
    PhonolakeError
        When neither of its distributions is installed, or both, which overwrite each other's files.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("faiss-cpu", "faiss-gpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) == 2:
        raise PhonolakeError(
            f"{' and '.join(found)} overwrite each other's files: `pip uninstall faiss-cpu faiss-gpu`, then install "
            "phonolake[cpu] or phonolake[gpu]"
        )
    if not found:
        raise PhonolakeError("FAISS is not installed: `pip install phonolake[cpu]`, or phonolake[gpu]")
    import faiss

    return faiss


def loaded() -> Any:
    """FAISS without the check, for open indexes: it was checked when they were opened."""
    import faiss

    return faiss
