"""A track over time, beside its player: waveform, spectrogram and labels on one axis, with a playhead.

What is drawn follows the sound that plays on the page, and a click on it goes to that moment.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import charts
import numpy as np
import streamlit as st
from frame import name
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import imsave

from phonolake.features.contract import Spectrogram
from phonolake.features.spectral import mel_edges

LOUDNESS = "magma"
# More columns than a screen has pixels only cost time.
MOST_COLUMNS = 1200
# Hertz that are written beside a spectrogram, as far as they lie in it.
WRITTEN = (10_000, 5000, 2000, 1000, 500, 200, 100)
# Of the height: what would stand nearer than this to another number is left out.
NEAREST = 0.075
PLAYER = "track-player"

HTML = """
<div class="sound" role="slider" tabindex="0" aria-label="Place in the track" aria-valuemin="0">
  <div class="axis"></div><div class="rows"></div><div class="head"></div><div class="times"></div>
</div>
"""
CSS = """
.sound { position: relative; padding-left: 76px; cursor: pointer; color: var(--st-text-color); font-size: 11px }
.sound:focus-visible { outline: 2px solid var(--st-primary-color) }
.axis span { position: absolute; left: 0; width: 70px; text-align: right; transform: translateY(-50%);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.rows img, .rows canvas { display: block; width: 100%; margin-bottom: 3px }
.head { position: absolute; top: 0; bottom: 18px; width: 2px; left: 76px; background: #e8590c; pointer-events: none }
.times { position: relative; height: 18px }
.times span { position: absolute; transform: translateX(-50%); white-space: nowrap }
"""
JS = """
export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".sound");
  const find = (name) => root.querySelector("." + name);
  const rows = find("rows"), axis = find("axis"), times = find("times"), head = find("head");
  const left = 76;
  const audio = () => document.querySelector(".st-key-" + data.player + " audio");
  rows.replaceChildren(); axis.replaceChildren(); times.replaceChildren();
  let top = 0;
  const write = (text, at) => {
    const span = document.createElement("span");
    span.textContent = text; span.title = text; span.style.top = at + "px"; axis.append(span);
  };
  if (data.outline) {
    const canvas = document.createElement("canvas");
    const n = data.outline.length, height = 64;
    canvas.width = n; canvas.height = height; canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.fillStyle = data.color;
    const reach = Math.max(1e-4, ...data.outline.flat().map(Math.abs));
    data.outline.forEach(([low, high], x) => {
      const a = height / 2 * (1 - high / reach), b = height / 2 * (1 - low / reach);
      pen.fillRect(x, a, 1, Math.max(1, b - a));
    });
    rows.append(canvas); top += height + 3;
  }
  for (const part of data.pictures) {
    const image = document.createElement("img");
    image.src = part.address; image.alt = part.about; image.style.height = part.height + "px";
    image.style.imageRendering = part.sharp ? "pixelated" : "auto";
    rows.append(image);
    for (const [text, at] of part.ticks) write(text, top + part.height * at);
    top += part.height + 3;
  }
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800].find((s) => data.seconds / s <= 8) || 3600;
  for (let t = 0; t <= data.seconds + 1e-6; t += step) {
    const span = document.createElement("span");
    const minutes = Math.floor(t / 60), rest = String(Math.round(t % 60)).padStart(2, "0");
    span.textContent = t < 60 ? +t.toFixed(1) + " s" : minutes + ":" + rest;
    span.style.left = 100 * t / data.seconds + "%"; times.append(span);
  }
  let frame;
  const draw = () => {
    const t = audio()?.currentTime || 0;
    head.style.left = left + (root.clientWidth - left) * Math.min(1, t / data.seconds) + "px";
    root.setAttribute("aria-valuenow", t.toFixed(1));
    frame = requestAnimationFrame(draw);
  };
  root.setAttribute("aria-valuemax", data.seconds.toFixed(1));
  root.onclick = (event) => {
    const at = (event.clientX - root.getBoundingClientRect().left - left) / (root.clientWidth - left);
    const player = audio();
    if (player && at >= 0) { player.currentTime = at * data.seconds; player.play(); }
  };
  root.onkeydown = (event) => {
    const by = { ArrowLeft: -5, ArrowRight: 5 }[event.key], player = audio();
    if (by && player) { player.currentTime = Math.max(0, player.currentTime + by); event.preventDefault(); }
  };
  draw();
  return () => cancelAnimationFrame(frame);
}
"""


def show(seconds: float, *, outline_P2: np.ndarray | None, pictures: Sequence[dict[str, Any]]) -> None:
    """Put what there is of a track on the page.

    Parameters
    ----------
    outline_P2 : ndarray, optional
        Least and largest value of each moment.
    pictures : sequence of dict
        Of `spectrogram` and `labels`, from top to bottom.
    """
    view = st.components.v2.component("phonolake-sound", html=HTML, css=CSS, js=JS)
    outline = None if outline_P2 is None else np.round(outline_P2.astype(float), 4).tolist()
    view(
        data={"seconds": float(seconds), "outline": outline, "pictures": list(pictures), "player": PLAYER,
              "color": charts.MAIN},
        key="sound",
    )  # fmt: skip


def spectrogram(decibels_FT: np.ndarray, recipe: Spectrogram) -> dict[str, Any]:
    """A spectrogram as a picture, low bands at the bottom; of neighbouring frames that share a pixel the loudest."""
    n_frames = decibels_FT.shape[1]
    step = -(-n_frames // MOST_COLUMNS)
    thinned_FT = np.maximum.reduceat(decibels_FT, np.arange(0, n_frames, step), axis=1).astype(float)
    about = f"Spectrogram {recipe.name}, {thinned_FT.min():.0f} to {thinned_FT.max():.0f} {recipe.unit}"
    return {
        "address": _picture(thinned_FT, LOUDNESS, thinned_FT.min(), thinned_FT.max()),
        "about": about,
        "height": 190,
        "sharp": False,
        "ticks": hertz(recipe),
    }


def hertz(recipe: Spectrogram) -> list[tuple[str, float]]:
    """Frequencies to write beside a spectrogram of mel bands, each with its place from the top, in [0, 1]."""
    config = recipe.config
    if config is None or config.n_mels is None:
        return []
    edges = mel_edges(sr=config.sr, n_mels=config.n_mels, fmin=config.fmin, fmax=config.fmax)
    centres = edges[1:-1]
    inside = [f for f in WRITTEN if centres[0] <= f <= centres[-1]]
    places = 1 - (np.interp(inside, centres, np.arange(len(centres))) + 0.5) / len(centres)
    written: list[tuple[str, float]] = []
    for f, place in zip(inside, places.tolist(), strict=True):
        if not written or place - written[-1][1] >= NEAREST:
            written.append((f"{f:,} Hz", place))
    return written


def labels(
    names: Sequence[str], starts: Sequence[float], piece: float, seconds: float, p_SK: np.ndarray
) -> dict[str, Any]:
    """Probabilities of labels over time as a picture, the first label on top; of pieces that overlap the mean.

    Parameters
    ----------
    starts : sequence of float
        Start of each piece in seconds, all `piece` seconds long.
    """
    moments = np.linspace(0, seconds, MOST_COLUMNS, endpoint=False)
    covers_ST = (np.asarray(starts)[:, None] <= moments) & (moments < np.asarray(starts)[:, None] + piece)
    n_T = np.maximum(covers_ST.sum(axis=0), 1)
    p_KT = (p_SK.T.astype(float) @ covers_ST) / n_T
    shades = LinearSegmentedColormap.from_list("shares", charts.SHARES)
    ticks = [(name(label), (k + 0.5) / len(names)) for k, label in enumerate(names)]
    about = "Probabilities of labels over time: " + ", ".join(names)
    address = _picture(p_KT[::-1], shades, 0, 1)
    return {"address": address, "about": about, "height": 18 * len(names), "sharp": True, "ticks": ticks}


def _picture(values: np.ndarray, shades: str | LinearSegmentedColormap, low: float, high: float) -> str:
    """The address of a picture that holds its own pixels, the first row at the bottom."""
    buffer = io.BytesIO()
    imsave(buffer, values, vmin=low, vmax=high, cmap=shades, origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
