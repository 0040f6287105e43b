"""A package from outside brings a dataset, features and models: that of docs/extending.md, installed and run."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile as sf

from phonolake import registry, testing
from phonolake.errors import PhonolakeError
from phonolake.features import contract

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

RUN = """
import shlex, sys
exec(sys.argv[1])
from phonolake.cli.main import main
for line in sys.argv[2].splitlines():
    code = main(shlex.split(line)[1:])
    assert code == 0, (line, code)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, installed by pip into a folder of its own."""
    root = tmp_path_factory.mktemp("mytunes")
    (root / "mytunes").mkdir()
    (root / "pyproject.toml").write_text(blocks("toml")[0])
    (root / "mytunes" / "__init__.py").touch()
    *modules, _ = blocks("python")
    for name, text in zip(("reader", "loudness", "linear", "centroid"), modules, strict=True):
        (root / "mytunes" / f"{name}.py").write_text(text)
    target = root / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(root)], check=True, capture_output=True)
    return target


def run(installed: Path, where: Path, code: str, commands: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-c", RUN, code, commands]
    path = f"{installed}:{ROOT / 'platform'}"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(where), "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.run(program, cwd=where, env=environment, capture_output=True, text=True, check=False)


def music(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for country, level in (("denmark", 0.02), ("france", 0.3)):
        (tmp_path / "music" / country).mkdir(parents=True)
        for n in range(6):
            sf.write(tmp_path / "music" / country / f"{n}.wav", level * rng.normal(size=16_000), 8_000)


@pytest.mark.long
def test_the_parts_of_the_page_keep_the_contracts(installed: Path, tmp_path: Path) -> None:
    music(tmp_path)
    done = run(installed, tmp_path, blocks("python")[-1], "phonolake datasets show mytunes")
    assert done.returncode == 0, done.stderr
    assert "Tunes by country" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_parts_of_the_page_go_through_every_stage(installed: Path, tmp_path: Path) -> None:
    music(tmp_path)
    done = run(installed, tmp_path, "", blocks("console")[0])
    assert done.returncode == 0, done.stderr
    assert "mean-linear" in done.stdout
    sql = "SELECT DISTINCT model FROM predictions ORDER BY 1"
    said = run(installed, tmp_path, "", f"phonolake sql {sql!r} --lake lake --format csv")
    assert said.stdout.split() == ["model", "mean-linear", "nearest-mean"]


@pytest.mark.long
def test_a_part_that_is_called_like_another_is_named(installed: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "twin.py").write_text('class CARD:\n    name = "gtzan"\n')
    (twin / "twin-1.0.dist-info").mkdir()
    (twin / "twin-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    names = twin / "twin-1.0.dist-info" / "entry_points.txt"
    for value, says in (
        ("twin", "twin and phonolake.sources.gtzan both bring a part called 'gtzan'"),
        ("gone", "twin brings 'part' as the entry point gone, which cannot be imported (ModuleNotFoundError"),
        ("twin:CARD", "twin brings 'part' as the entry point twin:CARD, which is not a module"),
    ):
        names.write_text(f"[phonolake.sources]\npart = {value}\n")
        code = "from phonolake.cli.main import main; sys.exit(main(['datasets', 'list']))"
        done = run(twin, tmp_path, code, "")
        assert done.returncode == 1
        assert says in done.stderr
        assert "report it" not in done.stderr


@pytest.mark.long
def test_a_model_that_is_called_like_another_is_refused_where_that_one_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "twin.py").write_text('class CARD:\n    name = "scaled-mfcc"\n')
    (tmp_path / "twin-1.0.dist-info").mkdir()
    (tmp_path / "twin-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    (tmp_path / "twin-1.0.dist-info" / "entry_points.txt").write_text("[phonolake.models]\npart = twin\n")
    done = run(tmp_path, tmp_path, "from phonolake.models import registry; registry.get('scaled-mfcc')", "")
    assert done.returncode == 1
    assert "both bring a part called 'scaled-mfcc'" in done.stderr


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"name": "Loud"}, "small letters"),
        ({"source": ""}, "source"),
        ({"columns": (("a", "a number of some unit"),) * 2}, "names of their own"),
        ({"compute": lambda clip: np.array([np.nan])}, "finite"),
    ],
)
def test_a_broken_feature_set_is_told_what_it_breaks(change: dict, broken: str) -> None:
    from dataclasses import replace

    good = contract.FeatureSet(
        "level-1", 1, contract.Hertz(8_000), (("level", "root mean square"),), "the definition",
        lambda clip: np.array([np.sqrt(np.mean(clip.y.astype(float) ** 2))] if len(clip.y) else [0.0]),
    )  # fmt: skip
    testing.check_feature_set(good)
    with pytest.raises(AssertionError, match=broken):
        testing.check_feature_set(replace(good, **change))


def test_the_parts_of_this_package_are_found_without_others() -> None:
    found = registry.modules("phonolake.sources", "CARD")
    assert all(isinstance(module, ModuleType) for module in found.values())
    with pytest.raises(PhonolakeError):
        registry.module("phonolake.sources", "CARD", "dataset", "mytunes")
