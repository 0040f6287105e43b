"""AudioSet's labels: their ids, display names and hierarchy."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import UsageError, unknown
from phonolake.sources import tables
from phonolake.sources.audioset_files import locate
from phonolake.sources.contract import Term

# The classes of the study of music roles (Korosteleva and Gerstner), by display name. Birthday music (/t/dd00029) is a
# tenth role of the ontology; no segment has it.
ROLES = {
    "Background music": "/m/025td0t",
    "Theme music": "/m/02cjck",
    "Jingle (music)": "/m/03r5q_",
    "Soundtrack music": "/m/0l14gg",
    "Lullaby": "/m/07pkxdp",
    "Video game music": "/m/01z7dr",
    "Christmas music": "/m/0140xf",
    "Dance music": "/m/0ggx5q",
    "Wedding music": "/m/04wptg",
}


@dataclass(frozen=True, slots=True)
class Ontology:
    """Labels of AudioSet.

    Parameters
    ----------
    names : dict
        Display name of each id that segments may carry.
    nodes : dict
        Of every id in the ontology its name and the ids of its children; a child may have several parents.
    """

    names: dict[str, str]
    nodes: dict[str, tuple[str, tuple[str, ...]]]

    @classmethod
    def read(cls, root: Path) -> "Ontology":
        """Read both files of labels.

        Raises
        ------
        UsageError
            If one is missing or is something else.
        """
        path = locate(root, "class_labels_indices.csv")
        rows = tables.rows(path, ("index", "mid", "display_name"), "AudioSet's list of labels")
        return cls({row["mid"]: row["display_name"] for row in rows}, _nodes(locate(root, "ontology.json")))

    def resolve(self, text: str) -> list[str]:
        """Labels that a text names: one name or id, or several with commas between them.

        Raises
        ------
        UsageError
            If one of them is unknown.
        """
        by_name = self._by_name()
        ids = {i: name for name, i in by_name.items()}
        if text in by_name or text in ids:
            return [ids.get(text, text)]
        # Names hold commas themselves ("Male speech, man speaking"), so the whole text is looked up first.
        parts = [part.strip() for part in text.split(",")]
        for part in parts:
            if part not in by_name and part not in ids:
                raise unknown("label of AudioSet", part, by_name)
        return [ids.get(part, part) for part in parts]

    def below(self, name: str) -> set[str]:
        """A label and all that lie below it, by display name."""
        ids = self._by_name()
        found: set[str] = set()
        todo = [ids[name]]
        while todo:
            label = todo.pop()
            if label not in found:
                found.add(label)
                todo += self.nodes[label][1] if label in self.nodes else ()
        return {self.nodes[i][0] if i in self.nodes else self.names[i] for i in found} | {
            self.names[i] for i in found if i in self.names
        }

    def terms(self, quality: Mapping[str, tuple[int, int]]) -> Iterator[Term]:
        """Every label with its parents and what the owners checked."""
        parents: dict[str, list[str]] = {}
        for label, (_, children) in self.nodes.items():
            for child in children:
                parents.setdefault(child, []).append(self._name(label))
        for label in self.nodes:
            rated, true = quality.get(label, (None, None))
            yield Term(self._name(label), label, tuple(sorted(parents.get(label, ()))), rated, true)

    def _name(self, label: str) -> str:
        return self.names.get(label) or self.nodes[label][0]

    def _by_name(self) -> dict[str, str]:
        return {name: i for i, (name, _) in self.nodes.items()} | {name: i for i, name in self.names.items()}


def _nodes(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    try:
        entries = json.loads(tables.text(path, "AudioSet's ontology"))
        if not isinstance(entries, list):
            raise TypeError("no list")
        return {e["id"]: (e["name"], tuple(e["child_ids"])) for e in entries}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not AudioSet's ontology, a list of objects with id, name and child_ids") from error
