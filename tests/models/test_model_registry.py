"""The registry: names, lookup, and what listing the models costs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phonolake.errors import UsageError
from phonolake.models import registry, storage

NOT_NEEDED = [
    "sklearn",
    "skops",
    "xgboost",
    "safetensors",
    "scipy",
    "pandas",
    "pyarrow",
    "duckdb",
    "deltalake",
    "ray",
    "librosa",
    "av",
]


def test_the_models_are_listed_in_order() -> None:
    assert registry.names() == sorted(registry.names())
    assert {"k2c2", "random-forest", "svm-rbf", "logistic-regression"} <= set(registry.names())
    assert [card.name for card in registry.cards()] == registry.names()


def test_an_unknown_model_is_named_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'k2c3'. Did you mean 'k2c2'\? Known: .*k2c2, "):
        registry.get("k2c3")


def test_of_a_family_the_error_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'sample-3-9'") as raised:
        registry.get("sample-3-10")
    assert str(raised.value).count("sample-3") == 3  # asked for, meant, known


def test_every_input_that_a_model_reads_exists() -> None:
    from phonolake.inference import inputs

    assert {card.name: card.input for card in registry.cards() if inputs.parse(card.input).text != card.input} == {}
    assert {card.input for card in registry.cards() if card.input.startswith("audio:")} == {
        "audio:12000",
        "audio:22050",
    }


def test_models_metrics_and_loop_need_only_numpy_and_torch() -> None:
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_NEEDED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import phonolake.metrics.classification, phonolake.models.storage, phonolake.inference.crops, phonolake.training.loop
from phonolake.models import registry
print(len(registry.cards()), registry.get("k2c2").build(2, n_frames=10, seed=0).head.out_features)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(registry.names())), "2"]


def test_an_estimator_is_asked_without_torch(tmp_path: Path) -> None:
    """Its import takes longer than all else that the scores of a few new tracks need."""
    scaler = registry.get("scaled-mfcc").build(seed=0).fit(np.arange(12.0).reshape(4, 3))
    stored = storage.save(scaler, {"model": "scaled-mfcc", "build": {"seed": 0}, "classes": []}, tmp_path / "model")
    program = """
import sys
from pathlib import Path
import numpy as np
import phonolake.stages.score
from phonolake.inference.predictor import Predictor
from phonolake.models import registry
scored = Predictor.load(Path(sys.argv[1])).score(np.array([4.5, 5.5, 6.5]))
print(*scored.embedding, "torch" in sys.modules, registry.Network.__module__)
"""
    done = subprocess.run([sys.executable, "-c", program, stored], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Other packages import the class from where it stood once.
    assert done.stdout.split() == ["0.0", "0.0", "0.0", "False", "phonolake.models.network"]


def test_metrics_need_only_numpy() -> None:
    program = "import sys, phonolake.metrics.classification; print('torch' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
