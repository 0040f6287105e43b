"""A folder of files that belong together, such as a model or an index, as one unit on object storage.

    models/RUN_ID/folder.json           the files of the folder: each with its object, bytes and checksum
    models/RUN_ID/files/CHECKSUM        the objects, written before the list that names them

Readers of the list get the whole old folder or the whole new one. For a lake in a folder this module does nothing,
because `phonolake.files.replacing_folder` has done it.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from phonolake.errors import PhonolakeError
from phonolake.files import READINGS, replacing_folder, sha256
from phonolake.store.place import Place

LIST, FILES = "folder.json", "files/"
# The list from which a copy was made.
COPIED = ".folder.json"
# Prefix of folders of this kind.
KINDS = ("models/", "indexes/")


def send(place: Place, name: str) -> None:
    """Replace the remote folder with the local one; hidden files and folders stay local."""
    if not place.is_remote:
        return
    folder = place.root / name
    listed, contents = {}, {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest = sha256(path)
            contents[f"{name}/{FILES}{digest}"] = path
            listed[relative.as_posix()] = {"sha256": digest, "bytes": path.stat().st_size}
    data = (json.dumps(listed, indent=2) + "\n").encode()
    _put_missing(place, name, contents)
    place.put(f"{name}/{LIST}", data)
    # Another job may meanwhile have deleted what was there, because its own list did not name it.
    _put_missing(place, name, contents)
    (folder / COPIED).write_bytes(data)
    place.delete(_unlisted(place, name, listed))


def _put_missing(place: Place, name: str, contents: dict[str, Path]) -> None:
    there = {entry.name for entry in place.list(f"{name}/{FILES}")}
    for content in contents.keys() - there:
        place.put(content, contents[content])


def fetch(place: Place, name: str) -> Path:
    """The local path of the folder; if it exists at all, files that are missing or different here are downloaded."""
    folder = place.root / name
    if not place.is_remote:
        return folder
    for _ in range(READINGS):
        try:
            data = place.read(f"{name}/{LIST}")
        except FileNotFoundError:
            return folder
        copied = folder / COPIED
        if copied.is_file() and copied.read_bytes() == data:
            return folder
        try:
            with replacing_folder(folder) as staging:
                for file, facts in json.loads(data).items():
                    if not _reuse(folder / file, staging / file, facts):
                        _bring(place, f"{name}/{FILES}{facts['sha256']}", staging / file, facts)
                (staging / COPIED).write_bytes(data)
        except FileNotFoundError:
            continue  # another job has replaced it meanwhile
        return folder
    raise PhonolakeError(f"{place.named(name)} is replaced again and again: wait for the jobs that do so")


def remove(place: Place, name: str) -> None:
    """Remove the folder, and its copy on this machine."""
    if place.is_remote:
        place.delete([f"{name}/{LIST}"])
        place.delete([entry.name for entry in place.list(f"{name}/")])
    shutil.rmtree(place.root / name, ignore_errors=True)


def names(place: Place, kind: str) -> list[str]:
    """Names of the complete folders of a kind."""
    if not place.is_remote:
        return [f"{kind}{path.name}" for path in sorted((place.root / kind).glob("[!.]*/"))]
    return [entry.name.removesuffix(f"/{LIST}") for entry in place.list(kind) if entry.name.endswith(f"/{LIST}")]


def leftovers(place: Place) -> Iterator[str]:
    """Objects that no list names."""
    for kind in KINDS if place.is_remote else ():
        found = {entry.name for entry in place.list(kind)}
        for folder in sorted({"/".join(name.split("/")[:2]) for name in found}):
            there = f"{folder}/{LIST}" in found
            yield from _unlisted(place, folder, json.loads(place.read(f"{folder}/{LIST}")) if there else {})


def _unlisted(place: Place, name: str, listed: dict[str, dict]) -> list[str]:
    needed = {f"{name}/{FILES}{facts['sha256']}" for facts in listed.values()}
    return [entry.name for entry in place.list(f"{name}/{FILES}") if entry.name not in needed]


def _reuse(copied: Path, path: Path, facts: dict) -> bool:
    """Link a file of an earlier copy if it is still the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(copied, path)
    except OSError:
        return False
    if path.stat().st_size == facts["bytes"] and sha256(path) == facts["sha256"]:
        return True
    path.unlink()
    return False


def _bring(place: Place, name: str, path: Path, facts: dict) -> None:
    place.bring(name, path, facts["bytes"])
    if sha256(path) != facts["sha256"]:
        raise PhonolakeError(f"the bytes of {place.named(name)} changed since it was uploaded: restore it from a copy")
