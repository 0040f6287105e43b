"""Train: a model learns the labels of the lake, and is measured on the part that it never saw.

A finished model is a folder `LAKE/models/RUN_ID`; the same request over the same data is the same run, so that a
training that was killed goes on after its last finished epoch and one that was finished is not repeated. What it keeps
on its way lies in a hidden folder, which goes when the model is there.
"""

from dataclasses import replace
from datetime import datetime
from functools import partial

from phonolake import execution, files, progress
from phonolake.errors import UsageError
from phonolake.features import contract
from phonolake.files import remove
from phonolake.lineage import CODE_VERSION, canonical, digest, settings
from phonolake.models import registry, storage
from phonolake.models.registry import ModelCard
from phonolake.records import TRAIN, VALID
from phonolake.stages import examples as labelled
from phonolake.stages import fitting, input_choice, products
from phonolake.stages.common import Outcome, finish, merge, now
from phonolake.stages.examples import Examples
from phonolake.stages.forget import purge_models
from phonolake.stages.training_task import TRACKS, WEIGHTS, Config, Task
from phonolake.store import catalog, jobs, naming, schema, unfinished
from phonolake.store.lake import Change, Lake
from phonolake.store.naming import TOMBSTONES
from phonolake.store.shards import keep_rows
from phonolake.training import intake, ray_wrapper
from phonolake.training.recipe import Hardware

__all__ = ["TRACKS", "WEIGHTS", "Config", "Hardware", "plan", "run"]

AUTO = "auto"
# Published training length of the 29-second clips of Choi et al. 2017, in frames of 21 ms, and the same in seconds.
LONGEST_FRAMES, LONGEST_SECONDS = 1360, 29.0


def run(config: Config, hardware: Hardware | None = None) -> list[Outcome]:
    """Train what is not trained yet; one outcome for each fold.

    Raises
    ------
    UsageError
        For an unknown model, input, split or fold, fewer than two classes, or hardware that is not there.
    PhonolakeError
        When the model's input was not extracted, or training cannot go on (a loss that is no number).
    """
    started = now()
    tasks = plan(config)
    lake = Lake.open(config.lake)
    todo = [task for task in tasks if not task.finished]
    with jobs.working(lake.root, "train"):
        with progress.task(f"train {config.model}", sum(task.epochs for task in todo)) as advance:
            _train(todo, hardware or Hardware(device=AUTO), advance, alone=len(tasks) == 1)
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
    gone = naming.buried(lake.folder(TOMBSTONES), lake.shards(TOMBSTONES))
    list(purge_models(lake, gone.to_pylist()))
    return outcomes


def _clear(task: Task) -> None:
    """Remove what a finished training needed to go on, unless another job trains the same model."""
    if not unfinished.is_needed(task.hidden, finished=True):
        remove(task.hidden)


def _train(todo: list[Task], hardware: Hardware, advance: progress.Advance, *, alone: bool) -> None:
    """Several models share the cores, one each; a single one gets all of them, or `hardware.workers` to share it.

    The last of several has one core even if the others are done: what a kill interrupted ends with the same figures.
    """
    if not todo:
        return
    gpu = _wants_gpu(todo, hardware)
    hardware = replace(hardware, device="cuda" if gpu else "cpu")
    todo = [replace(task, hardware=hardware) for task in todo]
    if hardware.workers is None:
        cpus = execution.cores() if alone else 1
        for task, _ in execution.imap(fitting.train_model, todo, cpus=cpus, gpus=int(gpu), on_tick=advance):
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


def _wants_gpu(todo: list[Task], hardware: Hardware) -> bool:
    """Whether to train on GPUs; what is asked for and cannot be had is said before anything waits for it."""
    card = registry.get(todo[0].config.model).CARD
    is_network = card.kind == "network"
    if hardware.workers is not None and not is_network:
        raise UsageError(f"{todo[0].config.model} learns in one process: leave --workers out")
    if (hardware.workers or 1) > 1 and card.frozen_base:
        raise UsageError(f"only the head of {card.name} learns, and one worker does that: leave --workers out")
    found = execution.gpus()
    gpu = is_network and (hardware.device.startswith("cuda") or (hardware.device == AUTO and found > 0))
    if gpu and found < (hardware.workers or 1):
        raise UsageError(f"{hardware.workers or 1} GPUs are asked for, and Ray has {found}: try --device cpu")
    if not gpu and (hardware.workers or 1) > execution.all_cores():
        raise UsageError(f"{hardware.workers} workers want a core each, and Ray has {execution.all_cores()}")
    return gpu


def plan(config: Config) -> list[Task]:
    """What would be trained, without training it."""
    lake = Lake.open(config.lake)
    card = registry.get(config.model).CARD
    if card.kind == "extractor":
        name = config.model
        raise UsageError(
            f"{name} learns nothing: `phonolake extract --features {name}` computes its values, and "
            f"`--features {name}` gives them to a classical model"
        )
    split = config.split or ("none" if card.kind == "embedder" else labelled.choose_split(lake, config.dataset))
    # Where the card's own input was asked for by name, it is the same run as without.
    card = replace(card, input=_input(lake, config, card))
    _check_takes(config, card)
    shards = tuple(products.shards_of(lake, card.input))
    n_steps = card.n_frames or _steps(lake, card.input)
    tasks = []
    for fold in config.folds or (None,):
        found = _examples(lake, config, card, split, fold)
        asked = settings(replace(config, folds=()))
        del asked["input"]  # the card has it
        request = [asked, card, split, fold]
        run_id = f"{config.model}-{digest([request, shards, found])}"
        chosen = replace(config, split=split)
        tasks.append(Task(lake.root, run_id, chosen, fold, found, shards, card.input, n_steps, Hardware()))
    return tasks


def _input(lake: Lake, config: Config, card: ModelCard) -> str:
    """What the model reads, as `phonolake.training.model_inputs.recipe_of` knows it."""
    kind = card.input.partition(":")[0]
    if config.from_audio and (card.kind != "network" or kind != "spectrogram"):
        raise UsageError(f"{card.name} reads {card.input}, no spectrogram: leave --from-audio out")
    found = input_choice.chosen(lake, card, config.input)
    return found.replace("spectrogram:", "computed:", 1) if config.from_audio else found


def _check_takes(config: Config, card: ModelCard) -> None:
    """Refuse augmentation and preprocessing that do not fit the model."""
    if not (config.augment or config.preprocessing):
        return
    if card.kind != "network":
        raise UsageError(f"{card.name} is no network: leave --augment and --preprocessing out")
    if config.augment and card.frozen_base:
        raise UsageError(f"the features of {card.name} are computed once, from the tracks as they are: no --augment")
    intake.of(card.input, config.preprocessing, config.augment)


def _examples(lake: Lake, config: Config, card: ModelCard, split: str, fold: int | None) -> Examples:
    if card.kind == "embedder":
        return labelled.unlabelled(lake, config.dataset)
    if card.kind == "estimator" and config.multi_label:
        raise UsageError(f"{config.model} learns one label per track: --multi-label is for networks")
    found = labelled.collect(
        lake,
        labels=config.labels,
        split=split,
        test_fold=fold,
        dataset=config.dataset,
        many=config.multi_label if card.kind == "network" else False,
        top=config.top_labels,
    )
    if card.kind == "network":
        return found
    # Estimators need no validation tracks: they learn from them too.
    return replace(found, parts=tuple(TRAIN if part == VALID else part for part in found.parts))


def _steps(lake: Lake, model_input: str) -> int:
    """Length of a training crop: what the median track has, at most half a minute."""
    kind, _, name = model_input.partition(":")
    if kind in ("features", "embeddings"):
        return 0
    with catalog.connect(lake) as connection:
        if kind in ("audio", "computed"):
            sql, parameters = "SELECT median(duration_seconds) FROM tracks", []
        else:
            sql = "SELECT median(n_frames) FROM spectrograms WHERE spectrogram = $1"
            parameters = [contract.spectrogram(name).name]
        ((median,),) = connection.execute(sql, parameters).fetchall()
    if kind == "audio":
        return int(min(LONGEST_SECONDS, median or 0) * int(name))
    if kind == "computed":
        median = (median or 0) * contract.spectrogram(name).frames_per_second + 1
    return min(LONGEST_FRAMES, int(median or 0))


def _rows(lake: Lake, task: Task) -> dict[str, Change]:
    """Rows of `models` and `metrics` for a finished model."""
    card = storage.read_card(task.folder / WEIGHTS)
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
