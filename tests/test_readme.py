"""The README does what it says: its commands run as they stand, and the page on Python is a doctest."""

import ast
import doctest
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split(" #")[0]
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


@pytest.fixture(scope="module")
def newcomer(demo, tmp_path_factory):
    """A folder as a newcomer has it after the demo: `demo/` from the demo, and some music of their own."""
    home = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(demo, home / "demo")
    rng = np.random.default_rng(0)
    for label, hertz in (("rock", 110), ("ambient", 880)):
        (home / "music" / label).mkdir(parents=True)
        for name in ("one", "two", "three", "four", "five", "six"):
            t = np.arange(22_050) / 22_050
            tone = 0.3 * np.sin(2 * np.pi * hertz * (1 + rng.random()) * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(home / "music" / label / f"{name}.wav", tone, 22_050)
    return home


@pytest.mark.timeout(400)
def test_the_commands_run_as_they_stand(newcomer, monkeypatch, capsys):
    monkeypatch.chdir(newcomer)
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[0] == "phonolake", command
        code = main(words[1:])
        captured = capsys.readouterr()
        assert code == 0, f"{command}\n{captured.err}"
        assert captured.out or "verify" in command, command


def test_python_page_says_what_happens(newcomer, monkeypatch):
    monkeypatch.chdir(newcomer)
    result = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


def test_the_notebook_runs_and_shows_what_it_says(newcomer, monkeypatch):
    """Cell by cell: the last line of each is shown as a notebook would, as HTML where it has some."""
    monkeypatch.chdir(newcomer)
    notebook = json.loads((ROOT / "docs" / "phonolake.ipynb").read_text(encoding="utf-8"))
    names: dict = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [], "what a cell shows is not kept"
        *lines, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(lines, []), "notebook", "exec"), names)
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), "notebook", "eval"), names)
        shown.append(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))
    assert "<td>tracks</td>" in shown[0]
    assert "<audio controls" in shown[1]
    assert all(shown)


def test_the_layout_tree_names_what_is_there():
    tree = README[README.index("    platform/phonolake/\n") :].split("\n\n")[0]
    named = set(re.findall(r"^ {8}(\w+)/", tree, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "platform" / "phonolake").glob("*/__init__.py")}
    assert named == packages
    for folder in re.findall(r"^ {4}(\w+)/ ", tree, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_the_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_ci_runs_what_the_readme_says_and_nothing_else():
    script = (ROOT / ".ci" / "run").read_text()
    assert [line for line in script.splitlines() if line.startswith("make")] == ["make lint", "make test"]
    assert "    make test" in README
