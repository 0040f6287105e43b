"""A map of tracks as points on a canvas: pointing names one, a click opens it, drawing around some lists them.

A figure library keeps an object for each point; 100,000 of them take seconds to draw and stay slow. Here they are
rectangles, drawn at once.
"""

import base64
from collections.abc import Sequence
from typing import Any

import charts
import numpy as np
import streamlit as st
from colouring import Colouring
from frame import LONGEST_NAME

# Of those inside a line, so many are listed.
MOST_CHOSEN = 1000

HTML = """
<div class="map">
  <div class="legend"></div>
  <canvas tabindex="0" role="img"></canvas><div class="told" hidden></div>
</div>
"""
CSS = """
.map { position: relative; color: var(--st-text-color); font: 13px var(--st-font, sans-serif) }
.legend { display: flex; flex-wrap: wrap; gap: 2px 10px; min-height: 24px; padding-bottom: 6px }
.legend button { all: unset; cursor: pointer; display: flex; align-items: center; gap: 5px }
.legend button:focus-visible, canvas:focus-visible { outline: 2px solid var(--st-primary-color) }
.legend button[aria-pressed=false] { opacity: .6; text-decoration: line-through }
.legend i { width: 10px; height: 10px; border-radius: 50% }
.legend .scale { display: flex; align-items: center; gap: 8px }
.legend .scale i { width: 160px; border-radius: 5px }
canvas { display: block; width: 100%; cursor: crosshair; touch-action: pan-y;
  border: 1px solid var(--st-border-color); border-radius: 6px }
.told { position: absolute; pointer-events: none; max-width: 60%; box-sizing: border-box; padding: 3px 8px;
  border-radius: 4px; background: var(--st-text-color); color: var(--st-background-color); white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis }
"""
JS = """
const bytes = (text) => {
  const letters = atob(text), found = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) found[i] = letters.charCodeAt(i);
  return found;
};
export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".map"), canvas = root.querySelector("canvas");
  const legend = root.querySelector(".legend"), told = root.querySelector(".told"), pen = canvas.getContext("2d");
  const place = new Float32Array(bytes(data.places).buffer), which = new Int32Array(bytes(data.which).buffer);
  const group = bytes(data.groups), n = group.length;
  // What was zoomed, hidden or chosen stays when the page runs again, as long as the points are the same.
  if (root.kept?.id !== data.id) root.kept = { id: data.id, zoom: 1, x: 0, y: 0, line: null };
  const kept = root.kept, size = n > 20000 ? 2 : n > 3000 ? 3 : 6, gap = 14;
  if (kept.colouring !== data.colouring) { kept.colouring = data.colouring; kept.hidden = new Set(); }
  // By group, the last first: it lies below.
  const order = new Uint32Array(n), next = new Uint32Array(257);
  for (const k of group) next[256 - k]++;
  for (let k = 1; k < 257; k++) next[k] += next[k - 1];
  for (let i = 0; i < n; i++) order[next[255 - group[i]]++] = i;
  let width = 0, ax = 0, bx = 0, ay = 0, by = 0;
  canvas.setAttribute("aria-label", data.about);
  const short = (text) => {
    const letters = [...text], cut = letters.slice(0, data.longest - 1).join("") + "…";
    return (letters.length > data.longest ? cut : text).trim().split(/\\s+/).join(" ");
  };
  const px = (i) => ax + bx * place[2 * i], py = (i) => ay + by * place[2 * i + 1];
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    bx = (width - 2 * gap) * kept.zoom; ax = gap - bx * kept.x;
    by = -(data.height - 2 * gap) * kept.zoom; ay = data.height - gap - by * kept.y;
    canvas.width = width * ratio; canvas.height = data.height * ratio; canvas.style.height = data.height + "px";
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    let last = -1, hidden = false;
    for (const i of order) {
      if (group[i] !== last) { last = group[i]; hidden = kept.hidden.has(last); pen.fillStyle = data.colors[last]; }
      const x = px(i), y = py(i);
      if (hidden || x < -size || y < -size || x > width + size || y > data.height + size) continue;
      pen.fillRect(x - size / 2, y - size / 2, size, size);
    }
    pen.lineWidth = 2; pen.strokeStyle = data.mark;
    if (data.marked !== null) {
      pen.beginPath(); pen.arc(px(data.marked), py(data.marked), 9, 0, 7); pen.stroke();
    }
    if (kept.line) { pen.beginPath(); kept.line.forEach(([x, y]) => pen.lineTo(x, y)); pen.closePath(); pen.stroke(); }
  };
  const near = (x, y) => {
    let best = null, least = 100;
    for (let i = 0; i < n; i++) {
      const far = (px(i) - x) ** 2 + (py(i) - y) ** 2;
      if (far < least && !kept.hidden.has(group[i])) { least = far; best = i; }
    }
    return best;
  };
  const inside = (line, x, y) => {
    let odd = false;
    for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
      const [a, b] = line[i], [c, d] = line[j];
      if ((b > y) !== (d > y) && x < (c - a) * (y - b) / (d - b) + a) odd = !odd;
    }
    return odd;
  };
  const choose = (numbers) =>
    setStateValue("chosen", { id: data.id, n: numbers.length, first: numbers.slice(0, data.most) });
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let drawing = null, panning = null;
  canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    if (event.shiftKey) panning = at(event); else drawing = [at(event)];
  };
  canvas.onpointermove = (event) => {
    const [x, y] = at(event);
    if (panning) {
      kept.x -= (x - panning[0]) / (width - 2 * gap) / kept.zoom;
      kept.y += (y - panning[1]) / (data.height - 2 * gap) / kept.zoom;
      panning = [x, y]; kept.line = null; draw();
    } else if (drawing) {
      drawing.push([x, y]);
      if (drawing.length > 3) { kept.line = drawing; draw(); }
    } else {
      const i = near(x, y);
      told.hidden = i === null;
      if (i !== null) {
        told.textContent = `${short(data.titles[i])}: ${data.said[which[i]]}`;
        told.style.top = canvas.offsetTop + y + 14 + "px"; told.style.left = Math.min(x, width * .4) + "px";
      }
    }
  };
  canvas.onpointerup = (event) => {
    const line = drawing, [x, y] = at(event);
    drawing = panning = null;
    if (!line) return;
    const moved = Math.max(...line.map(([a, b]) => Math.hypot(a - line[0][0], b - line[0][1])));
    if (moved < 5) {
      kept.line = null; draw();
      const i = near(x, y);
      choose(i === null ? [] : [i]);
    } else {
      kept.line = line; draw();
      const found = [];
      for (let i = 0; i < n; i++) if (!kept.hidden.has(group[i]) && inside(line, px(i), py(i))) found.push(i);
      choose(found);
    }
  };
  canvas.onpointercancel = () => { drawing = panning = null; };
  canvas.onpointerleave = () => { told.hidden = true; };
  const zoom = (by, x, y) => {
    const a = (x - gap) / (width - 2 * gap), b = 1 - (y - gap) / (data.height - 2 * gap);
    const next = Math.min(200, Math.max(1, kept.zoom * by));
    kept.x += a / kept.zoom - a / next; kept.y += b / kept.zoom - b / next; kept.zoom = next;
    if (next === 1) kept.x = kept.y = 0;
    kept.line = null; draw();
  };
  // The wheel alone scrolls the page.
  canvas.onwheel = (event) => {
    if (!event.shiftKey) return;
    event.preventDefault(); zoom(Math.exp(-(event.deltaY || event.deltaX) / 300), ...at(event));
  };
  canvas.onkeydown = (event) => {
    const step = .1 / kept.zoom;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (by) { kept.x += by[0]; kept.y += by[1]; kept.line = null; draw(); event.preventDefault(); }
    if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.5 : 1 / 1.5, width / 2, data.height / 2);
  };
  const present = new Set(group), before = data.colors.length - data.names.length;
  legend.replaceChildren(...data.names.flatMap((text, n) => {
    const k = before + n;
    if (!present.has(k)) return [];
    const button = document.createElement("button"), spot = document.createElement("i");
    spot.style.background = data.colors[k]; button.append(spot, text);
    button.setAttribute("aria-pressed", !kept.hidden.has(k));
    button.onclick = () => {
      if (!kept.hidden.delete(k)) kept.hidden.add(k);
      button.setAttribute("aria-pressed", !kept.hidden.has(k)); draw();
    };
    return button;
  }));
  if (data.ends) {
    const scale = document.createElement("span"), bar = document.createElement("i");
    scale.className = "scale";
    bar.style.background = `linear-gradient(to left, ${data.colors.slice(0, before)})`;
    scale.append(data.ends[0], bar, data.ends[1]); legend.prepend(scale);
  }
  const sized = new ResizeObserver(draw);
  sized.observe(canvas.parentElement);
  draw();
  return () => sized.disconnect();
}
"""


def figure(places_N2: np.ndarray, names: Sequence[str], colouring: Colouring) -> dict[str, Any]:
    """What the browser draws: places in [0, 1], and of each point its colour, its name and what is told of it."""
    low_2 = places_N2.min(axis=0)
    span_2 = np.maximum(places_N2.max(axis=0) - low_2, 1e-9)
    return {
        "places": base64.b64encode(((places_N2 - low_2) / span_2).astype("<f4").tobytes()).decode(),
        "groups": base64.b64encode(colouring.codes.tobytes()).decode(),
        "which": base64.b64encode(colouring.which.astype("<i4").tobytes()).decode(),
        "names": colouring.names,
        "colors": colouring.colors,
        "ends": colouring.ends,
        "titles": list(names),
        "said": colouring.said,
        "longest": LONGEST_NAME,
        "mark": charts.MARK,
    }


def show(points: dict[str, Any], *, marked: int | None, height: int, key: str, colouring: str) -> tuple[int, list[int]]:
    """Put a figure on the page; how many points are chosen, and the numbers of the first of them.

    Parameters
    ----------
    marked : int, optional
        Number of a point that has a ring around it.
    key : str
        Stands for the points: another key, and nothing is zoomed or chosen any more.
    colouring : str
        Stands for the meaning of the colours: another, and nothing is hidden any more.
    """
    view = st.components.v2.component("phonolake-map", html=HTML, css=CSS, js=JS)
    about = f"Map of {len(points['titles']):,} tracks; those near each other sound alike to the model"
    data = points | {
        "marked": marked,
        "height": height,
        "about": about,
        "most": MOST_CHOSEN,
        "id": key,
        "colouring": colouring,
    }
    chosen = view(data=data, key="map", on_chosen_change=lambda: None).chosen
    # What was chosen of other points means nothing among these.
    if not chosen or chosen["id"] != key:
        return 0, []
    return chosen["n"], [n for n in chosen["first"] if n < len(points["titles"])]
