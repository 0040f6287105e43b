"""Jobs on a cluster: a real head node, a checkout sent over HTTP, and the files that people start from."""

import os
import re
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import yaml
from ray.job_submission import JobStatus, JobSubmissionClient
from ray.runtime_env import RuntimeEnv

import phonolake
from phonolake.cli import main as program
from phonolake.lineage import CODE_VERSION
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
JOBS = {
    "ingest_dataset": "ingest",
    "extract_features": "extract",
    "train_model": "train",
    "crossvalidate_model": "crossval",
    "score_tracks": "score",
    "build_index": "index",
    "run_pipeline": "run",
}
SUBMITTED = f"{CODE_VERSION}+submitted"


def load(name: str) -> dict:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


# -- a head node of our own --------------------------------------------------------------------------------------------


@dataclass
class Node:
    """A head node with ports of its own, so that it stands beside any other Ray of the machine.

    Nobody but the tests can use it: it wants a token that is made up here.
    """

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        gcs, self.port, client, agent = free_ports(4)
        options = {
            "port": gcs,
            "dashboard-host": "127.0.0.1",
            "dashboard-port": self.port,
            "ray-client-server-port": client,
            # The agent's usual port is that of any other Ray here, and a head without its agent takes no jobs.
            "dashboard-agent-listen-port": agent,
            "min-worker-port": 0,
            "max-worker-port": 0,
            "num-cpus": 2,
            "object-store-memory": 200_000_000,
            "temp-dir": self.folder / "ray",
        }
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHON"))}
        environment |= {
            # A job's `python` is looked up in the PATH that Ray was started with.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.log = self.folder / "head.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in options.items())],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def wait(self, seconds: float = 60) -> None:
        """Wait until the dashboard answers."""
        request = urllib.request.Request(f"{self.url}/api/version", headers=self.headers)
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(request, timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)

    def family(self) -> list[psutil.Process]:
        """The processes of this node, jobs and their watchers included."""
        head = psutil.Process(self.process.pid)
        return [head, *head.children(recursive=True)]

    def stop(self) -> list[psutil.Process]:
        """End everything that belongs to this node and nothing else; returns what could not be ended."""
        if self.process.poll() is not None:
            return []
        family = self.family()
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            process.kill()
        return left


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all are held until the last is found, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    # The path of a Unix socket has 107 characters at most, and Ray adds some 70: pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="pl", dir="/tmp"))
    head = Node(folder)
    try:
        head.wait()
        yield head
    finally:
        left = head.stop()
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"processes outlived their node: {left}"


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[JobSubmissionClient]:
    with pytest.MonkeyPatch.context() as patch:
        # Either of them would take the place of the address given here.
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
        yield JobSubmissionClient(node.url, headers=node.headers)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout whose rows can be told from those of an installed Phonolake, with things in the way."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("platform", "schemas", "jobs", "deploy"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", copy)
    lineage = copy / "platform/phonolake/lineage.py"
    changed = lineage.read_text(encoding="utf-8").replace(f'"{CODE_VERSION}"', f'"{SUBMITTED}"')
    lineage.write_text(changed, encoding="utf-8")
    for name in (".venv/bin/python", ".git/config", "lake/lake.json", "lake-2/x", "demo/x", "music/a.mp3", "tests/x"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("x")
    return copy


def begin(client: JobSubmissionClient, checkout: Path, entrypoint: str) -> str:
    """Submit a job; returns its id."""
    runtime_env = yaml.safe_load((checkout / "deploy/runtime_env.yaml").read_text()) | {"working_dir": str(checkout)}
    deadline = time.monotonic() + 90
    while True:
        try:
            return client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
        except RuntimeError as error:
            # The dashboard answers a moment before the agent that starts jobs does.
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def submit(client: JobSubmissionClient, checkout: Path, entrypoint: str, seconds: float = 90) -> tuple[JobStatus, str]:
    """Run a job to its end, which it should reach in so many seconds; returns its status and its log."""
    job = begin(client, checkout, entrypoint)
    deadline = time.monotonic() + seconds
    while not (status := client.get_job_status(job)).is_terminal():
        assert time.monotonic() < deadline, client.get_job_logs(job)
        time.sleep(0.2)
    return status, client.get_job_logs(job)


@pytest.fixture(scope="module")
def ingested(
    node: Node, client: JobSubmissionClient, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, "phonolake.OpenLake"]:
    """Log and lake of a job that took in three good recordings and a broken one."""
    folder = tmp_path_factory.mktemp("ingested")
    for label, pitch in (("low", 220), ("high", 880), ("high", 1760)):
        path = folder / "music" / label / f"{pitch}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * np.arange(12_000) / 12_000), 12_000)
    (folder / "music/low/broken.wav").write_bytes(b"RIFF and nothing else")
    command = f"python jobs/ingest_dataset.py folder {folder / 'music'} --lake {folder / 'lake'}"
    status, log = submit(client, checkout, command)
    assert status == JobStatus.SUCCEEDED, log
    return log, phonolake.open(folder / "lake")


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_submitted_job_fills_the_lake(ingested: tuple[str, "phonolake.OpenLake"]) -> None:
    log, lake = ingested
    assert re.search(r"ingest\b.*\bingest-[0-9a-f]{12}\W+4\W+3\W+1\b", log), log
    assert "ingest: 4 to do" in log
    assert "Traceback" not in log
    assert lake.sql("SELECT track_id FROM tracks ORDER BY ALL").fetchall() == [
        ("music:high/1760.wav",),
        ("music:high/880.wav",),
        ("music:low/220.wav",),
    ]
    assert lake.sql("SELECT track_id, stage FROM rejects").fetchall() == [("music:low/broken.wav", "ingest")]


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_submitted_job_runs_the_code_that_was_sent(ingested: tuple[str, "phonolake.OpenLake"]) -> None:
    _, lake = ingested
    by_driver = lake.sql("SELECT DISTINCT code_version FROM runs").fetchall()
    by_workers = lake.sql("SELECT code_version FROM tracks UNION SELECT code_version FROM rejects").fetchall()
    assert (by_driver, by_workers) == ([(SUBMITTED,)], [(SUBMITTED,)])


@pytest.mark.timeout(180)
@pytest.mark.long
def test_only_the_code_is_sent(node: Node, ingested: tuple[str, "phonolake.OpenLake"], checkout: Path) -> None:
    (unpacked,) = node.folder.glob("ray/session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")
    assert {path.name for path in unpacked.iterdir()} == {"platform", "schemas", "jobs", "deploy"}

    def files(folder: Path) -> set[str]:
        paths = (path for name in ("platform", "schemas") for path in (folder / name).rglob("*"))
        return {str(path.relative_to(folder)) for path in paths if path.is_file() and path.suffix != ".pyc"}

    assert files(unpacked) == files(checkout)


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_job_that_fails_says_why_on_one_line(client: JobSubmissionClient, checkout: Path, tmp_path: Path) -> None:
    command = f"python jobs/ingest_dataset.py folder {tmp_path} --lake {tmp_path / 'lake'}"
    status, log = submit(client, checkout, command)
    assert status == JobStatus.FAILED
    assert log.splitlines()[-1].startswith(f"phonolake: no audio in {tmp_path}:")
    assert "Traceback" not in log
    assert not (tmp_path / "lake").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_that_is_stopped_ends_soon_and_heals(
    node: Node, client: JobSubmissionClient, checkout: Path, tmp_path: Path
) -> None:
    n, music, lake = 40, tmp_path / "music", tmp_path / "lake"
    music.mkdir()
    soundfile.write(music / "000.flac", 0.3 * np.sin(np.arange(30 * 22_050) / 8), 22_050)
    for number in range(1, n):
        shutil.copy(music / "000.flac", music / f"{number:03d}.flac")
    size = (music / "000.flac").stat().st_size
    command = (
        f"python jobs/ingest_dataset.py folder {music} --lake {lake} --shard-bytes {4 * size} --features music-role-97"
    )
    job = begin(client, checkout, command)
    deadline = time.monotonic() + 200
    while not list((lake / "tables" / "tracks").glob("music-*.parquet")):
        assert not client.get_job_status(job).is_terminal(), client.get_job_logs(job)
        assert time.monotonic() < deadline, client.get_job_logs(job)
        time.sleep(0.1)
    begun = time.monotonic()
    client.stop_job(job)
    while not client.get_job_status(job).is_terminal() or _busy(node):
        assert time.monotonic() - begun < 10, (client.get_job_status(job), _busy(node))
        time.sleep(0.1)
    print(f"\nstopped within {time.monotonic() - begun:.1f} s")
    assert client.get_job_status(job) == JobStatus.STOPPED
    done = {path: path.stat().st_mtime_ns for path in (lake / "tables" / "tracks").glob("music-*.parquet")}
    assert 0 < len(done) < n // 4
    status, log = submit(client, checkout, command, seconds=200)
    assert status == JobStatus.SUCCEEDED, log
    # What was finished is not done again.
    assert {path: path.stat().st_mtime_ns for path in done} == done
    whole = phonolake.open(lake)
    assert whole.sql("SELECT count(*), count(DISTINCT track_id) FROM tracks").fetchall() == [(n, n)]
    assert verify(Lake.open(lake)) == []


def _busy(node: Node) -> list[str]:
    """Tasks that the workers of a node are at."""
    found = []
    for process in node.family():
        with suppress(psutil.Error):
            found += [word for word in process.cmdline()[:1] if word.startswith("ray::_task")]
    return found


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_stranger_is_turned_away(node: Node) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{node.url}/api/jobs/", timeout=5)
    assert caught.value.code in {401, 403}


# -- the files that people start from ----------------------------------------------------------------------------------


def test_there_is_one_script_for_each_command_that_works_on_a_cluster() -> None:
    assert {path.stem for path in (ROOT / "jobs").glob("*.py")} == set(JOBS)


@pytest.mark.parametrize(("script", "command"), JOBS.items())
def test_a_job_hands_its_arguments_to_the_command(
    script: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ROOT / "jobs" / f"{script}.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    # As a program it guards the signals of its process, which here is that of all tests.
    monkeypatch.setattr(program, "console", program.main)
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(path), run_name="__main__")
    assert not caught.value.code
    assert f"Usage: phonolake {command}" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    assert "ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml --" in text
    assert f"python jobs/{script}.py" in text
    assert f"| `jobs/{script}.py` | `phonolake {command}` |" in (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_ray_accepts_the_runtime_environment() -> None:
    settings = load("runtime_env.yaml")
    assert set(RuntimeEnv(**settings)) == {"env_vars", "excludes"}
    assert all(isinstance(value, str) for value in settings["env_vars"].values())


def test_ray_accepts_the_cluster_file() -> None:
    # The launcher has no public check of a file.
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(load("cluster.yaml"))
    validate_config(prepared)
    assert prepared["max_workers"] == len(prepared["provider"]["worker_ips"])
    for here in prepared["file_mounts"].values():
        assert here.startswith("~") or (ROOT / here).exists()


# Fields of the operator's resources, of which it takes no others, as docs/reference/api.md of ray-project/kuberay lists
# them (Apache 2.0); `authOptions` is there since 1.6.
KUBERAY = {
    "cluster": "suspend managedBy autoscalerOptions headServiceAnnotations enableInTreeAutoscaling headGroupSpec "
    "gcsFaultToleranceOptions rayVersion workerGroupSpecs authOptions",
    "autoscaler": "resources image imagePullPolicy securityContext idleTimeoutSeconds upscalingMode version env "
    "envFrom volumeMounts",
    "gcs": "redisUsername redisPassword externalStorageNamespace redisAddress",
    "head": "template headService enableIngress rayStartParams serviceType",
    "workers": "suspend groupName replicas minReplicas maxReplicas idleTimeoutSeconds rayStartParams template "
    "scaleStrategy numOfHosts",
    "job": "activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata clusterSelector "
    "submitterConfig managedBy deletionStrategy entrypoint runtimeEnvYAML jobId submissionMode entrypointResources "
    "entrypointNumCpus entrypointNumGpus ttlSecondsAfterFinished shutdownAfterJobFinishes suspend schedule",
}


def manifests() -> dict[str, dict]:
    """The manifests for Kubernetes by their kinds."""
    found = {d["kind"]: d for d in yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8"))}
    kinds = {"PersistentVolumeClaim", "Service", "StatefulSet", "RayCluster", "RayJob"}
    assert set(found) == kinds
    return found


def test_the_operator_knows_every_field() -> None:
    found = manifests()
    cluster, job = found["RayCluster"]["spec"], found["RayJob"]["spec"]
    parts = [("cluster", cluster), ("autoscaler", cluster["autoscalerOptions"]), ("head", cluster["headGroupSpec"])]
    parts += [("gcs", cluster["gcsFaultToleranceOptions"]), ("job", job)]
    parts += [("workers", group) for group in cluster["workerGroupSpecs"]]
    for name, part in parts:
        assert set(part) <= set(KUBERAY[name].split()), name
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_kubernetes_manifests_fit_together() -> None:
    text = (DEPLOY / "kuberay.yaml").read_text(encoding="utf-8")
    found = manifests()
    volume, cluster, job = found["PersistentVolumeClaim"], found["RayCluster"], found["RayJob"]
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert f"ray=={cluster['spec']['rayVersion']}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        (claim,) = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]]
        assert claim == volume["metadata"]["name"]
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] == pod["volumes"][0]["name"]
        assert f"--lake {mount['mountPath']}/" in job["spec"]["entrypoint"]
        assert pod["securityContext"]["runAsUser"] == 1000
        # Ray takes its limits for what there is: a pod never gets more than it asks for.
        assert container["resources"]["requests"] == container["resources"]["limits"]
    assert len(set(re.findall(r" image: (phonolake\S+)", text))) == 1


def test_the_cluster_grows_shrinks_and_outlives_its_head() -> None:
    found = manifests()
    spec, redis = found["RayCluster"]["spec"], found["StatefulSet"]
    assert spec["enableInTreeAutoscaling"]
    for group in spec["workerGroupSpecs"]:
        assert 0 <= group["minReplicas"] <= group["replicas"] < group["maxReplicas"]
        pod = group["template"]["spec"]
        # Within the grace of a node that is taken away, Ray ends by itself.
        *_, grace = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert int(grace) < pod["terminationGracePeriodSeconds"]
    gpus = [g["template"]["spec"]["containers"][0]["resources"]["limits"] for g in spec["workerGroupSpecs"]]
    assert [int(limits.get("nvidia.com/gpu", 0)) for limits in gpus] == [0, 1]
    host, port = spec["gcsFaultToleranceOptions"]["redisAddress"].split(":")
    assert host == found["Service"]["metadata"]["name"] == redis["spec"]["serviceName"]
    assert int(port) == found["Service"]["spec"]["ports"][0]["port"]
    (environment,) = redis["spec"]["template"]["spec"]["containers"][0]["env"]
    assert spec["gcsFaultToleranceOptions"]["redisPassword"]["valueFrom"] == environment["valueFrom"]


def test_the_image_is_built_from_what_is_there() -> None:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    steps = [line.split(maxsplit=1) for line in lines]
    words = [word for word, _ in steps]
    assert set(words) <= {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "ENTRYPOINT", "CMD"}
    assert words[0] == "FROM"
    assert words[-2:] == ["ENTRYPOINT", "CMD"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert ["ENTRYPOINT", '["phonolake"]'] in steps
    assert "phonolake" in project["project"]["scripts"]
    copied = {name for word, rest in steps if word == "COPY" for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    # Everything that the build backend reads goes in.
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert {name.split("/")[0] for name in wheel} <= copied
    assert {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]} <= copied
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert all("--constraint constraints.txt" in rest for rest in installs)
    assert installs[0].endswith(" torch")
    # Whatever runs later runs as this user.
    (user,) = [rest for word, rest in steps if word == "USER"]
    assert any(f"useradd --create-home --uid 1000 {user}" in rest for word, rest in steps if word == "RUN")
    assert "RUN" not in words[words.index("USER") :]
