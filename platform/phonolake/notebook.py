"""A track as a notebook shows it: its name and labels, a player, and its spectrogram."""

import base64
import html
import io
from dataclasses import dataclass

import numpy as np

from phonolake.audio.decode import decode
from phonolake.audio.players import MIME
from phonolake.lookup.browse import TrackFacts
from phonolake.records import Hertz
from phonolake.store.tracks import StoredAudio

# What is played is part of the notebook's file.
MOST_BYTES = 16 << 20
MOST_COLUMNS = 1200


@dataclass(frozen=True)
class Track:
    """One track of a lake.

    Parameters
    ----------
    facts : TrackFacts
        Its metadata.
    audio : StoredAudio or None
        Its audio, unless it is too large to show.
    spectrogram : ndarray or None
        The stored one, (bands, frames).
    """

    facts: TrackFacts
    audio: StoredAudio | None
    spectrogram: np.ndarray | None

    def __repr__(self) -> str:
        about = ", ".join(part for part in (self.facts.title, self.facts.artist) if part)
        return f"Track({self.facts.track_id!r}{', ' + about if about else ''}, {self.facts.duration_seconds:.1f} s)"

    def _repr_html_(self) -> str:
        facts = self.facts
        names = [facts.title or facts.track_id, facts.artist, facts.album, facts.title and facts.track_id]
        labels = [label for own in facts.labels.values() for label in own]
        parts = [f"<b>{html.escape(' · '.join(name for name in names if name))}</b>"]
        if labels:
            parts.append(html.escape(", ".join(labels)))
        if self.audio is not None:
            parts.append(f'<audio controls preload="none" src="{_sound(self.audio)}"></audio>')
        if self.spectrogram is not None:
            size = "width:100%;max-width:800px;height:160px;image-rendering:auto"
            parts.append(f'<img alt="Spectrogram" style="{size}" src="{_picture(self.spectrogram)}">')
        return f"<div>{'<br>'.join(parts)}</div>"


def _sound(audio: StoredAudio) -> str:
    """The address of a sound that holds its own bytes."""
    if audio.container in MIME:
        return _address(MIME[audio.container], audio.data)
    import soundfile as sf

    buffer = io.BytesIO()
    sf.write(buffer, decode(audio.data, sr=Hertz(audio.sr)), audio.sr, format="WAV", subtype="PCM_16")
    return _address(MIME["WAV"], buffer.getvalue())


def _picture(x_FT: np.ndarray) -> str:
    """The address of a picture that holds its own pixels, low bands at the bottom."""
    from matplotlib.image import imsave  # late: it takes a moment

    x_FT = x_FT if x_FT.ndim == 2 else x_FT[0]
    step = -(-x_FT.shape[1] // MOST_COLUMNS)
    buffer = io.BytesIO()
    thinned_FT = np.maximum.reduceat(x_FT, np.arange(0, x_FT.shape[1], step), axis=1)
    imsave(buffer, thinned_FT, cmap="magma", origin="lower", format="png")
    return _address("image/png", buffer.getvalue())


def _address(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
