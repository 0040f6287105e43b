"""Train: fit a model to the labels of the lake, and evaluate it on the test part.

A finished model is a folder `LAKE/models/RUN_ID`; the same request over the same data is the same run, so that a killed
training continues after its last finished epoch and a finished one is not repeated. Its intermediate state is in a
hidden folder, which is deleted when the model is finished.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from phonolake import execution, files, progress
from phonolake.errors import UsageError
from phonolake.files import remove
from phonolake.inference import inputs
from phonolake.inference.model_input import ModelInput
from phonolake.inference.series_inputs import LONGEST_FRAMES, ComputedSpectrogram, SeriesInput, StoredSpectrogram
from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.models import registry, storage
from phonolake.models.registry import ModelCard, NetworkCard
from phonolake.records import TRAIN
from phonolake.stages import examples as labelled
from phonolake.stages import fitting, input_choice
from phonolake.stages.examples import Examples
from phonolake.stages.forget import purge_models
from phonolake.stages.training_task import Config, Task
from phonolake.store import catalog, jobs, naming, schema, trained, unfinished
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, finish, merge, now
from phonolake.store.shards import keep_rows
from phonolake.training import augmentation, ray_wrapper
from phonolake.training.recipe import Hardware

__all__ = ["Config", "Hardware", "plan", "run"]

AUTO = "auto"
# What a core takes, roughly, to learn a row of features, and a crop of that length once.
SECONDS_PER_ROW, SECONDS_PER_CROP = 0.02, 0.2


def run(config: Config, hardware: Hardware | None = None) -> list[Outcome]:
    """Train missing models; one outcome for each fold.

    Raises
    ------
    UsageError
        For an unknown model, input, split or fold, fewer than two classes, or hardware that is not there.
    PhonolakeError
        When the model's input was not extracted, a class has too few tracks for the model, or training cannot go on (a
        loss that is no number).
    """
    started = now()
    tasks = plan(config)
    lake = Lake.open(config.lake)
    todo = [task for task in tasks if not task.finished]
    with jobs.working(lake.place, "train"):
        with progress.task(f"train {config.model}", sum(task.epochs for task in todo)) as advance:
            _train(lake, todo, hardware or Hardware(device=AUTO), advance, alone=len(tasks) == 1)
        for task in tasks:
            _clear(task)
        return publish(lake, tasks, started)


def publish(lake: Lake, tasks: list[Task], started: datetime) -> list[Outcome]:
    """Commit the rows of models whose folders are there; one outcome for each."""
    outcomes = []
    for task in tasks:
        n = len(task.examples.track_ids)
        outcomes.append(Outcome("train", task.run_id, n, n, 0, task.config.model))
    published = [_rows(lake, task) for task in tasks]
    changes = {name: merge(*(tables[name] for tables in published)) for name in ("models", "metrics")}
    lake.commit(changes | {"runs": finish(lake, tasks[0].config, outcomes, started)})
    # Whoever was forgotten meanwhile is on the lists of what was learned from.
    gone = naming.buried(lake)
    list(purge_models(lake, gone.to_pylist()))
    return outcomes


def _clear(task: Task) -> None:
    """Remove what a finished training needed to go on, unless another job trains the same model."""
    if not unfinished.is_needed(task.hidden, finished=True):
        remove(task.hidden)


def _train(lake: Lake, todo: list[Task], hardware: Hardware, advance: progress.Advance, *, alone: bool) -> None:
    """Several models share the cores, one each; a single one gets all of them, or `hardware.workers` to share it.

    The last of several has one core even if the others are done: what a kill interrupted ends with the same figures.
    """
    if not todo:
        return
    gpu = wants_gpu(todo, hardware)
    hardware = replace(hardware, device="cuda" if gpu else "cpu")
    todo = [replace(task, hardware=hardware) for task in todo]
    if hardware.workers is None:
        cpus = execution.cores() if alone else 1
        work: dict[str, Any] = {
            "cpus": cpus,
            "gpus": int(gpu),
            "seconds": sum(map(seconds_of, todo)),
            "forks": lake.forks,
        }
        for task, _ in execution.imap(fitting.train_model, todo, **work, on_tick=advance):
            _clear(task)
        return
    cpus = max(1, execution.cores() // hardware.workers)
    for task in todo:
        with execution.watching(advance) as ticker:
            ray_wrapper.together(
                partial(execution.call, fitting.train_model, task, ticker, files.owner.get()),
                workers=hardware.workers,
                cpus=cpus,
                gpu=gpu,
                storage=task.hidden,
            )
        _clear(task)


def seconds_of(task: Task) -> float:
    """How long one core takes, roughly: little, for an estimator; for a network, by epochs and length of the crops."""
    n = len(task.examples.track_ids)
    if not isinstance(task.model.CARD, NetworkCard):
        return n * SECONDS_PER_ROW
    is_stored = isinstance(inputs.parse(task.input), StoredSpectrogram)
    length = task.n_steps / LONGEST_FRAMES if is_stored else 1.0
    return n * task.epochs * length * SECONDS_PER_CROP


def wants_gpu(todo: Sequence[Task], hardware: Hardware) -> bool:
    """Whether to train on GPUs; what is asked for and cannot be had is said before anything waits for it."""
    card = registry.get(todo[0].config.model).CARD
    is_network = isinstance(card, NetworkCard)
    if hardware.workers is not None and not is_network:
        raise UsageError(f"{todo[0].config.model} trains in one process: leave --workers out")
    if (hardware.workers or 1) > 1 and card.frozen_base:
        raise UsageError(f"only the head of {card.name} is trained, by one worker: leave --workers out")
    found = execution.gpus()
    gpu = is_network and (hardware.device.startswith("cuda") or (hardware.device == AUTO and found > 0))
    if gpu and found < (hardware.workers or 1):
        raise UsageError(f"{hardware.workers or 1} GPUs are asked for, but Ray has {found}: try --device cpu")
    if not gpu and (hardware.workers or 1) > execution.all_cores():
        raise UsageError(f"{hardware.workers} workers need a core each, but Ray has {execution.all_cores()}")
    return gpu


def plan(config: Config) -> list[Task]:
    """The planned work."""
    lake = Lake.open(config.lake)
    card = registry.get(config.model).CARD
    if not card.learns:
        name = config.model
        raise UsageError(
            f"{name} learns nothing: `phonolake extract --features {name}` computes its values, and "
            f"`--features {name}` gives them to a classical model"
        )
    split = config.split or (labelled.choose_split(lake, config.dataset) if card.needs_labels else "none")
    # Where the card's own input was asked for by name, it is the same run as without.
    read = _input(lake, config, card)
    card = replace(card, input=read.text)
    _check_versions(config, card, read)
    shards = tuple(read.files(lake))
    n_steps = card.n_frames or _steps(lake, read)
    tasks = []
    for fold in config.folds or (None,):
        found = examples_of(lake, config, card, split, fold)
        asked = settings(replace(config, folds=()))
        del asked["input"]  # the card has it
        request = [asked, card, split, fold]
        run_id = f"{config.model}-{digest([request, shards, found])}"
        chosen = replace(config, split=split)
        tasks.append(Task(lake.place, run_id, chosen, fold, found, shards, card.input, n_steps, Hardware()))
    return tasks


def _input(lake: Lake, config: Config, card: ModelCard) -> ModelInput:
    own = inputs.parse(card.input)
    if config.from_audio and not (isinstance(card, NetworkCard) and isinstance(own, StoredSpectrogram)):
        raise UsageError(f"{card.name} reads {card.input}, no spectrogram: leave --from-audio out")
    found = input_choice.chosen(lake, card, config.input)
    return ComputedSpectrogram(found.name) if config.from_audio else found


def _check_versions(config: Config, card: ModelCard, read: ModelInput) -> None:
    """Refuse augmentation and preprocessing that do not fit the model."""
    if not (config.augment or config.preprocessing):
        return
    if not isinstance(card, NetworkCard):
        raise UsageError(f"{card.name} is not a network: leave --augment and --preprocessing out")
    if config.augment and card.frozen_base:
        raise UsageError(f"the features of {card.name} are computed once, from the tracks as they are: no --augment")
    augmentation.check(config.augment, read)
    read.transforms(config.preprocessing)


def examples_of(lake: Lake, config: Config, card: ModelCard, split: str, fold: int | None) -> Examples:
    """The training examples of a model with this card."""
    if not card.needs_labels:
        return labelled.unlabelled(lake, config.dataset)
    is_network = isinstance(card, NetworkCard)
    if config.multi_label and not is_network:
        raise UsageError(f"{config.model} learns one label per track: --multi-label is for networks")
    found = labelled.collect(
        lake,
        labels=config.labels,
        split=split,
        test_fold=fold,
        dataset=config.dataset,
        many=config.multi_label if is_network else False,
        top=config.top_labels,
        # Estimators need no validation tracks: they learn from them too.
        validates=is_network,
    )
    if not is_network:
        taught = [k for (k,), part in zip(found.labels, found.parts, strict=True) if part == TRAIN]
        labelled.check_enough(card.name, registry.get(card.name).NEEDS, found.classes, taught)
    return found


def _steps(lake: Lake, read: ModelInput) -> int:
    """Length of a training crop; 0 for rows of numbers."""
    if not isinstance(read, SeriesInput):
        return 0
    with catalog.connect(lake) as connection:
        return read.crop_length(connection)


def _rows(lake: Lake, task: Task) -> dict[str, Change]:
    """Rows of `models` and `metrics` for a finished model."""
    card = storage.read_card(trained.weights(task.lake, task.run_id))
    models, metrics = schema.table("models"), schema.table("metrics")
    row = {
        "run_id": task.run_id,
        "model": task.config.model,
        "input": task.input,
        "labels": list(task.examples.classes),
        "split": task.config.split,
        "test_fold": task.fold,
        "card": canonical(card),
        "code_version": CODE_VERSION,
    }
    return {
        "models": Change(models, [keep_rows(lake.path("models", task.run_id), models.arrow, [row])]),
        "metrics": Change(metrics, [keep_rows(lake.path("metrics", task.run_id), metrics.arrow, card["metrics"])]),
    }
