"""The networks of musicnn: their arithmetic against numpy, and the published weights against the original graphs.

Shape suffixes: B batch, H frames, W bands, C channels, L kernel; images lie as in TensorFlow, x_BHWC.
"""

import shutil
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from phonolake.audio.decode import decode
from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract
from phonolake.models import musicnn_vgg, registry
from phonolake.models.importers import musicnn_package, musicnn_weights
from phonolake.models.network import Network
from phonolake.records import Hertz

from . import tf_files

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WHEEL = SHARED / "musicnn" / musicnn_package.WHEEL
REFERENCE = SHARED / "musicnn" / "reference_cc_music.npz"
published = pytest.mark.skipif(not WHEEL.is_file(), reason="the published weights are not here")
Variables = Mapping[str, np.ndarray]

N_CLASSES = 5


# -- the same in numpy -------------------------------------------------------------------------------------------------


def convolved(x_BHWC: np.ndarray, variables: Variables, name: str, padding: str) -> np.ndarray:
    kernel_LLCC, bias_C = variables[f"{name}/kernel"], variables[f"{name}/bias"]
    if padding == "same":
        around = [((n - 1) // 2, n - 1 - (n - 1) // 2) for n in kernel_LLCC.shape[:2]]
        x_BHWC = np.pad(x_BHWC, [(0, 0), *around, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x_BHWC, kernel_LLCC.shape[:2], axis=(1, 2))
    return np.maximum(np.einsum("bhwcij,ijcd->bhwd", windows, kernel_LLCC, optimize=True) + bias_C, 0)


def normed(x: np.ndarray, variables: Variables, k: int) -> np.ndarray:
    name = "batch_normalization" + (f"_{k}" if k else "")
    gamma, beta, mean, variance = (
        variables[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def musicnn_in_numpy(x_BHW: np.ndarray, v: Variables) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and logits."""
    x_BHWC = normed(x_BHW[..., None], v, 0)
    padded_BHWC = np.pad(x_BHWC, [(0, 0), (3, 3), (0, 0), (0, 0)])
    front = [
        normed(convolved(padded_BHWC, v, "conv2d", "valid"), v, 1).max(axis=2),
        normed(convolved(padded_BHWC, v, "conv2d_1", "valid"), v, 2).max(axis=2),
        *(normed(convolved(x_BHWC, v, f"conv2d_{k}", "same"), v, k + 1).max(axis=2) for k in (2, 3, 4)),
    ]
    maps = [np.concatenate(front, axis=2)]
    for k in (5, 6, 7):
        padded = np.pad(maps[-1], [(0, 0), (3, 3), (0, 0)])[..., None]
        found = normed(convolved(padded, v, f"conv2d_{k}", "valid"), v, k + 1)[:, :, 0]
        maps.append(found if k == 5 else found + maps[-1])
    all_BHC = np.concatenate(maps, axis=2)
    pooled = np.empty((len(all_BHC), 2 * all_BHC.shape[2]))
    pooled[:, 0::2], pooled[:, 1::2] = all_BHC.max(axis=1), all_BHC.mean(axis=1)
    dense = np.maximum(normed(pooled, v, 9) @ v["dense/kernel"] + v["dense/bias"], 0)
    embedding = normed(dense, v, 10)
    return embedding, embedding @ v["dense_1/kernel"] + v["dense_1/bias"]


def vgg_in_numpy(x_BHW: np.ndarray, v: Variables, pools: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    x_BHWC = normed(x_BHW[..., None], v, 0)
    for k, (size, stride) in enumerate(pools, start=1):
        x_BHWC = normed(convolved(x_BHWC, v, f"{k}CNN", "same"), v, k)
        windows = np.lib.stride_tricks.sliding_window_view(x_BHWC, size, axis=(1, 2))
        x_BHWC = windows[:, :: stride[0], :: stride[1]].max(axis=(4, 5))
    embedding = x_BHWC.reshape(len(x_BHWC), -1)
    return embedding, embedding @ v["dense/kernel"] + v["dense/bias"]


def random_variables(name: str, n_embedding: int) -> dict[str, np.ndarray]:
    """Of the shapes that the graphs have, with statistics that are not those of a fresh network."""
    rng = np.random.default_rng(0)
    kernels: dict[str, tuple[int, ...]] = {"dense/kernel": (n_embedding, N_CLASSES)}
    widths = [1, *[128] * 5]
    if name.startswith("musicnn"):
        widths = [1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]
        front = [(7, 38, 1, 204), (7, 67, 1, 204), *((frames, 1, 1, 51) for frames in (128, 64, 32))]
        shapes = [*front, (7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
        kernels = {f"conv2d{f'_{k}' if k else ''}/kernel": shape for k, shape in enumerate(shapes)}
        kernels |= {"dense/kernel": (1506, 200), "dense_1/kernel": (200, N_CLASSES)}
    else:
        kernels |= {f"{k + 1}CNN/kernel": (3, 3, n_in, 128) for k, n_in in enumerate(widths[:5])}
    variables = {}
    for kernel, shape in kernels.items():
        variables[kernel] = rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
        variables[kernel.replace("kernel", "bias")] = rng.normal(0, 0.1, shape[-1])
    for k, width in enumerate(widths):
        norm = "batch_normalization" + (f"_{k}" if k else "")
        # Of either sign, so that a maximum before the norm would be another one.
        variables[f"{norm}/gamma"], variables[f"{norm}/beta"] = rng.normal(0, 1, width), rng.normal(0, 0.1, width)
        variables[f"{norm}/moving_mean"] = rng.normal(0, 0.1, width)
        variables[f"{norm}/moving_variance"] = rng.uniform(0.5, 2, width)
    return {variable: values.astype("<f4") for variable, values in variables.items()}


@pytest.mark.parametrize(
    ("name", "n_frames", "pools"),
    [
        ("musicnn-msd", 9, None),
        ("vgg-msd", 70, [((4, 1), (4, 1)), ((1, 4), (1, 4)), *[((2, 2), (2, 2))] * 2, ((4, 4), (4, 4))]),
        pytest.param(
            *("vgg-mtt", 70, [((4, 1), (2, 2)), *[((2, 2), (2, 2))] * 3, ((4, 4), (4, 4))]), marks=pytest.mark.slow
        ),
    ],
)
def test_a_checkpoint_of_random_weights_gives_what_numpy_computes(name: str, n_frames: int, pools: list | None) -> None:
    fresh = registry.get(name).build(N_CLASSES, n_frames=n_frames, seed=0).eval()
    variables = random_variables(name, fresh.head.in_features)
    musicnn_weights.fill(fresh, "weights", *tf_files.checkpoint(variables, per_block=40))
    x_BHW = np.random.default_rng(1).normal(1, 0.5, (2, n_frames, 96)).astype(np.float32)
    with torch.inference_mode():
        embedding = fresh.embed(torch.from_numpy(x_BHW).transpose(1, 2))
        logits = fresh.classify(embedding)
    exact = {variable: values.astype(np.float64) for variable, values in variables.items()}
    expected = vgg_in_numpy(x_BHW, exact, pools) if pools else musicnn_in_numpy(x_BHW, exact)
    np.testing.assert_allclose(embedding, expected[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(logits, expected[1], rtol=1e-3, atol=1e-3)


def test_another_network_is_refused() -> None:
    fresh = registry.get("vgg-mtt").build(N_CLASSES, n_frames=70, seed=0)
    variables = random_variables("vgg-mtt", fresh.head.in_features)
    for change, says in [
        ({"dense/bias": np.zeros(7, "<f4")}, r"dense/bias is float32 of shape \(7,\), and \(5,\) is wanted"),
        ({"dense/bias": np.zeros(5, "<f8")}, "dense/bias is float64"),
    ]:
        with pytest.raises(PhonolakeError, match=f"^weights: {says}"):
            musicnn_weights.fill(fresh, "weights", *tf_files.checkpoint({**variables, **change}, per_block=40))
    del variables["3CNN/bias"]
    with pytest.raises(PhonolakeError, match="no tensor 3CNN/bias"):
        musicnn_weights.fill(fresh, "weights", *tf_files.checkpoint(variables, per_block=40))


@pytest.mark.parametrize(
    ("name", "shape"), [("musicnn-mtt", (1, 95, 187)), ("vgg-mtt", (1, 96, 186)), ("vgg-mtt", (96, 187))]
)
def test_wrong_shapes_are_named(name: str, shape: tuple[int, ...]) -> None:
    fresh = registry.get(name).build(N_CLASSES, n_frames=187, seed=0)
    with pytest.raises(UsageError, match=r"reads \(batch, 96 bands"):
        fresh(torch.zeros(shape))


@pytest.mark.parametrize("name", musicnn_weights.NAMES)
def test_too_few_frames_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="received n_frames=0"):
        registry.get(name).build(N_CLASSES, n_frames=0, seed=0)


def test_the_msd_tags_are_in_the_order_of_the_collection() -> None:
    tags = SHARED / "msd" / "tags.txt"
    if not tags.is_file():
        pytest.skip("the shared tags are not here")
    assert list(musicnn_weights.TAGS[musicnn_weights.MSD]) == tags.read_text().split("\n")[:50]
    assert len(set(musicnn_weights.MTT_TAGS)) == 50


# -- the published weights ---------------------------------------------------------------------------------------------


@cache
def network(name: str) -> Network:
    return musicnn_weights.read(name, WHEEL)[0]


def reference() -> tuple[np.lib.npyio.NpzFile, list[str]]:
    answers = np.load(REFERENCE)
    files = sorted({key.split("|")[0] for key in answers.files})
    assert len(files) == 8
    return answers, files


def compare(name: str, window: int) -> None:
    """Given the log-mels of the original, logits and what the last layer reads differ by rounding alone."""
    answers, files = reference()
    folder = musicnn_package.NETWORKS[name].folder
    files = [file for file in files if len(answers[f"{file}|log_mel"]) > window]
    x_BHW = np.stack([answers[f"{file}|log_mel"][window] for file in files])
    with torch.inference_mode():
        embedding = network(name).embed(torch.from_numpy(x_BHW).transpose(1, 2))
        found = {"last_input": embedding, "logits": network(name).classify(embedding)}
    for what, values in found.items():
        expected = np.stack([answers[f"{file}|{folder}|{what}"][window] for file in files])
        np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)


@published
@pytest.mark.parametrize("name", ["musicnn-msd", "vgg-msd"])
def test_logits_are_those_of_the_original_graph(name: str) -> None:
    compare(name, window=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@published
@pytest.mark.parametrize("name", musicnn_weights.NAMES)
def test_probabilities_of_recordings_are_those_of_the_original(name: str) -> None:
    """From the audio on; the resamplers differ."""
    compare(name, window=0)
    compare(name, window=1)
    answers, files = reference()
    spectrogram = contract.spectrogram("mel-96-16k-musicnn")
    for file in files:
        y = decode((SHARED / "cc_music" / file).read_bytes(), sr=Hertz(16_000))[: 31 * 16_000]
        expected = answers[f"{file}|{musicnn_package.NETWORKS[name].folder}|probabilities"]
        x_FT = spectrogram.of(y)[:, : 187 * len(expected)]
        x_BFT = x_FT.reshape(96, len(expected), 187).transpose(1, 0, 2).copy()
        with torch.inference_mode():
            found = torch.sigmoid(network(name)(torch.from_numpy(x_BFT)))
        np.testing.assert_allclose(found, expected, atol=0.02, rtol=0)


@published
def test_the_log_mel_is_that_of_the_original() -> None:
    answers, files = reference()
    file = min(files, key=lambda name: (SHARED / "cc_music" / name).stat().st_size)
    y = decode((SHARED / "cc_music" / file).read_bytes(), sr=Hertz(16_000))
    x_FT = contract.spectrogram("mel-96-16k-musicnn").of(y)[:, :187]
    np.testing.assert_allclose(x_FT.T, answers[f"{file}|log_mel"][0], atol=1e-3)


@published
@pytest.mark.parametrize("name", ["vgg-msd", "vgg-mtt"])
def test_the_pools_are_those_of_the_graph(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(musicnn_vgg.POOLS, name, musicnn_vgg.POOLS["vgg-mtt" if name == "vgg-msd" else "vgg-msd"])
    with pytest.raises(PhonolakeError, match=f"the graph of {name} pools by"):
        musicnn_weights.read(name, WHEEL)


# -- where the files are found -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the wheel's files for one network, and of what names the version."""
    place = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(WHEEL) as archive:
        wanted = [name for name in archive.namelist() if "MTT_vgg" in name or "dist-info" in name]
        archive.extractall(place, wanted)
    return place


@published
def test_wheel_folder_and_copies_hold_the_same(unpacked: Path, tmp_path: Path) -> None:
    files = musicnn_package.read("vgg-mtt", WHEEL)
    assert set(files) == {".index", ".data-00000-of-00001", ".meta"}
    for place in (unpacked, unpacked / "musicnn", unpacked / "musicnn" / "MTT_vgg"):
        assert musicnn_package.read("vgg-mtt", place) == files
    renamed = shutil.copytree(unpacked / "musicnn" / "MTT_vgg", tmp_path / "anywhere")
    assert musicnn_package.read("vgg-mtt", renamed) == files


@published
def test_another_network_or_a_damaged_file_is_named(unpacked: Path, tmp_path: Path) -> None:
    with pytest.raises(PhonolakeError, match=r"has neither musicnn/MSD_vgg/\.index nor"):
        musicnn_package.read("vgg-msd", unpacked)
    with pytest.raises(
        PhonolakeError, match=r"\.index is not the published file, or is damaged: it has sha256 4b0d3d2d"
    ):
        musicnn_package.read("vgg-msd", unpacked / "musicnn" / "MTT_vgg")
    copy = Path(shutil.copytree(unpacked / "musicnn" / "MTT_vgg", tmp_path / "copy"))
    data = copy / ".data-00000-of-00001"
    content = bytearray(data.read_bytes())
    data.chmod(0o600)
    data.write_bytes(content[:-1])
    with pytest.raises(PhonolakeError, match=r"it has 7,274,111 bytes, the published one 7,274,112"):
        musicnn_package.read("vgg-mtt", copy)
    content[1000] ^= 1
    data.write_bytes(content)
    with pytest.raises(PhonolakeError, match=r"data-00000-of-00001 is not the published file.*: it has sha256"):
        musicnn_package.read("vgg-mtt", copy)


def zipped(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


INDEX = "musicnn/MTT_vgg/.index"


@pytest.mark.parametrize(
    ("files", "method", "says"),
    [
        ({"musicnn-0.2.0.dist-info/METADATA": b""}, zipfile.ZIP_STORED, "is musicnn 0.2.0, and the weights of 0.1.0"),
        ({"numpy/__init__.py": b""}, zipfile.ZIP_STORED, f"holds no {INDEX}: it is not the wheel of musicnn 0.1.0"),
        ({f"../{INDEX}": bytes(2994)}, zipfile.ZIP_STORED, f"holds no {INDEX}"),
        ({INDEX: bytes(100)}, zipfile.ZIP_STORED, "it has 100 bytes, the published one 2,994"),
        ({INDEX: bytes(10**7)}, zipfile.ZIP_DEFLATED, "it has 10,000,000 bytes"),
        ({INDEX: bytes(2994)}, zipfile.ZIP_DEFLATED, "it has sha256"),
        ({INDEX: bytes(2994)}, zipfile.ZIP_BZIP2, "packed by method 12, which no wheel uses"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, files: dict[str, bytes], method: int, says: str) -> None:
    with pytest.raises(PhonolakeError, match=says):
        musicnn_package.read("vgg-mtt", zipped(tmp_path / "musicnn.whl", files, method))


def test_a_size_that_lies_is_noticed(tmp_path: Path) -> None:
    """An archive that announces the published size and unpacks to much more is read no further than that."""
    path = zipped(tmp_path / "musicnn.whl", {INDEX: bytes(10**7)})
    content = path.read_bytes()
    path.write_bytes(content.replace((10**7).to_bytes(4, "little"), (2994).to_bytes(4, "little")))
    with pytest.raises(PhonolakeError, match=r"it has sha256|cannot be read as the wheel"):
        musicnn_package.read("vgg-mtt", path)


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.whl").write_bytes(b"not a wheel")
    with pytest.raises(PhonolakeError, match=r"weights\.whl cannot be read as the wheel of musicnn 0\.1\.0"):
        musicnn_package.read("vgg-mtt", tmp_path / "weights.whl")
    with pytest.raises(UsageError, match="`phonolake models fetch vgg-mtt` downloads the package"):
        musicnn_package.read("vgg-mtt", tmp_path / "gone.whl")
    with pytest.raises(PhonolakeError, match="has neither"):
        musicnn_package.read("vgg-mtt", tmp_path)
    (tmp_path / "large.whl").touch()
    with (tmp_path / "large.whl").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(PhonolakeError, match="far more than the wheel"):
        musicnn_package.read("vgg-mtt", tmp_path / "large.whl")


@published
@pytest.mark.parametrize("cut", [100, 1_000_000, 29_000_000])
def test_a_truncated_wheel_is_named(tmp_path: Path, cut: int) -> None:
    (tmp_path / "musicnn.whl").write_bytes(WHEEL.read_bytes()[:cut])
    with pytest.raises(PhonolakeError, match="cannot be read as the wheel"):
        musicnn_package.read("vgg-mtt", tmp_path / "musicnn.whl")
