"""Completion in the editor of the page SQL: a line of proposals below it, of which Tab takes one.

What is typed stays in the editor of Streamlit, which has none of this; the browser proposes by itself, from words that
came with the page.
"""

from dataclasses import asdict

import streamlit as st

from phonolake.lookup.answers import SqlWords

HTML = '<div class="proposed" role="listbox" aria-label="Proposals; Tab takes the marked one"></div>'
CSS = """
.proposed { display: flex; gap: 4px; height: 26px; overflow: hidden; font: 12px var(--st-code-font, monospace) }
.proposed button { all: unset; cursor: pointer; padding: 3px 8px; border-radius: 4px; white-space: nowrap;
  color: var(--st-text-color); border: 1px solid var(--st-border-color) }
.proposed button[aria-selected=true] { border-color: var(--st-primary-color); font-weight: 600 }
.proposed small { opacity: .75; margin-left: 4px }
.proposed .hint { padding: 3px 0; color: var(--st-text-color); opacity: .75 }
"""
JS = r"""
export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".proposed");
  const { tables, macros, keywords, functions } = data.words;
  const most = 8;
  let shown = [], marked = 0, from = 0;
  const editor = () => document.querySelector(".st-key-" + data.editor + " textarea");

  // Tables that the question names, with what they are called in it.
  const named = (text) => {
    const found = new Map();
    for (const [, table, , alias] of text.matchAll(/\b(?:from|join|,)\s+"?(\w+)"?(\s+(?:as\s+)?(\w+))?/gi)) {
      if (!tables[table]) continue;
      found.set(table, table);
      if (alias && !keywords.includes(alias.toUpperCase())) found.set(alias, table);
    }
    return found;
  };
  const propose = (text, at) => {
    const before = text.slice(0, at);
    // Inside a text or a comment there is nothing to complete.
    if ((before.match(/'/g) || []).length % 2 || /--[^\n]*$/.test(before)) return [];
    const typed = /(?:(\w+)\.)?(\w*)$/.exec(before), owner = typed[1], word = typed[2].toLowerCase();
    from = at - typed[2].length;
    const own = named(text), fits = (name) => name.toLowerCase().startsWith(word) && name.toLowerCase() !== word;
    if (owner) {
      const table = own.get(owner) || (tables[owner] && owner);
      return (tables[table] || []).filter(fits).map((name) => [name, "column"]);
    }
    if (!word) return [];
    const wanting = /\b(?:from|join)\s+\w*$/i.test(before);
    const columns = new Set([...own.values()].flatMap((table) => tables[table]));
    const parts = [
      [Object.keys(tables), "table"], [Object.keys(macros), "macro"], [[...columns], "column"],
      [keywords, "keyword"], [functions, "function"],
      [columns.size ? [] : [...new Set(Object.values(tables).flat())], "column"],
    ];
    if (!wanting) parts.unshift(parts.splice(2, 1)[0]);
    const found = new Map();
    // Of those that fit, the shortest lacks least.
    for (const [names, kind] of parts)
      for (const name of names.filter(fits).sort((a, b) => a.length - b.length))
        if (!found.has(name)) found.set(name, kind);
    return [...found];
  };
  const draw = () => {
    root.replaceChildren();
    shown.forEach(([name, kind], n) => {
      const button = document.createElement("button"), note = document.createElement("small");
      button.type = "button"; button.tabIndex = -1; button.setAttribute("role", "option");
      button.setAttribute("aria-selected", n === marked);
      button.textContent = macros[name] || name; note.textContent = kind; button.append(note);
      button.onmousedown = (event) => { event.preventDefault(); take(n); };
      root.append(button);
    });
    if (!shown.length) {
      const hint = document.createElement("span");
      hint.className = "hint"; hint.textContent = "Tab completes, arrows choose, Ctrl+Enter runs"; root.append(hint);
    }
  };
  const close = () => { shown = []; draw(); };
  // In place of a part of the text; as a person types it, so that Streamlit takes notice.
  const put = (words, start, end) => {
    const area = editor(), text = area.value.slice(0, start) + words + area.value.slice(end);
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, text);
    area.setSelectionRange(start + words.length, start + words.length);
    taking = true; area.dispatchEvent(new Event("input", { bubbles: true })); taking = false;
    area.focus(); close();
  };
  const take = (n) => {
    const [name, kind] = shown[n];
    put(kind === "macro" || kind === "function" ? name + "(" : name, from, editor().selectionStart);
  };
  let taking = false;
  const input = (event) => {
    if (event.target !== editor() || taking) return;
    shown = propose(event.target.value, event.target.selectionStart).slice(0, most); marked = 0; draw();
  };
  const press = (event) => {
    if (event.target !== editor() || !shown.length || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Tab" && !event.shiftKey) { event.preventDefault(); take(marked); }
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      marked = (marked + (event.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length; draw();
    } else if (event.key === "Escape" || event.key === "ArrowLeft" || event.key === "ArrowRight") close();
  };
  document.addEventListener("input", input, true);
  document.addEventListener("keydown", press, true);
  draw();
  if (data.insert) {
    const area = editor(), start = area.selectionStart;
    put((/[^\s(,.]$/.test(area.value.slice(0, start)) ? " " : "") + data.insert, start, area.selectionEnd);
  }
  return () => {
    document.removeEventListener("input", input, true);
    document.removeEventListener("keydown", press, true);
  };
}
"""


def propose(words: SqlWords, *, editor: str, insert: str | None = None) -> None:
    """Put the line of proposals on the page, for the text area with this key, and a name into the text."""
    view = st.components.v2.component("phonolake-completion", html=HTML, css=CSS, js=JS)
    view(data={"words": asdict(words), "editor": editor, "insert": insert}, key=f"{editor}-proposed")
