"""Detection power: the model and its rivals on the same frames, by the same rules, at the same false-alarm rates.

``finds``: frames -> what every finder reports, kept on disk; ``comparison``: -> scores, intervals; ``page``: -> a page.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from detector.errors import InputError
from detector.frame import CLASSES, sha256_of
from detector.session import Model
from training.labels import read_dataset
from training.power.comparison import MODEL, Power, best_settings, compare, rates_of
from training.power.finds import Entrant, FrameFinds, Frames, look
from training.power.page import write_power
from training.rivals import RIVALS
from training.simulate.write import write_dataset

Progress = Callable[[str, int, int], None]
TUNING_SEED, TEST_SEED = 61_001, 62_001


def benchmark(
    out: Path,
    dataset: Path | None = None,
    model: Path | None = None,
    *,
    count: int = 100,
    seed: int = TEST_SEED,
    tuning_count: int = 75,
    tuning_seed: int = TUNING_SEED,
    workers: int = 2,
    progress: Progress = lambda what, done, total: None,
) -> Power:
    """Judge the model and every rival; write ``power.json`` and ``power.html`` into ``out``.

    What was simulated and what was found is kept in ``out``: the same command takes up an interrupted run.

    Args:
        out: the folder.
        dataset: frames with truth to judge on (its ``test`` split, where it has one); rivals are tuned on its ``val``
            split. Without it, or without such a split, frames are simulated.
        model: the .onnx file; None takes the released one.
        count, seed: of the simulated products to judge on (5 products are 8 frames).
        tuning_count, tuning_seed: of those to tune on.
        workers: processes.
        progress: called with what is done, and (done, total).

    Raises:
        InputError: test and tuning frames are the same, or there is nothing to judge.
        ModelError: the model cannot be used.

    """
    if dataset is None and seed == tuning_seed:
        raise InputError("seed", f"{seed} is that of the tuning frames too", "give --seed and --tuning-seed apart")
    opened = Model.open(model)
    tuning = _frames(out, dataset, "val", tuning_count, tuning_seed, progress)
    test = _frames(out, dataset, "test", count, seed, progress)
    if not test.ids or not tuning.ids:
        raise InputError(dataset or out, "has no frames to judge or none to tune on", "name a dataset with frames")

    def seen(frames: Frames, what: str, entrants: list[Entrant]) -> list[FrameFinds]:
        return look(frames, entrants, opened.path, out / "finds", workers, lambda *at: progress(what, *at))

    tuned_on = seen(tuning, "tuning", [MODEL, *everyone()])
    rates = rates_of(tuned_on, opened.card)
    chosen = best_settings(tuned_on, rates)
    judged_on = seen(test, "judging", [MODEL, *chosen])
    about = {
        "model": {"name": opened.card.name, "version": opened.card.version, "sha256": opened.sha256},
        "tuning": tuning.said,
        "test": test.said,
    }
    power = compare(tuned_on, judged_on, chosen, rates, about)
    write_power(power, out)
    return power


def everyone() -> list[Entrant]:
    """All rivals with all settings."""
    return [
        Entrant(kind, name, number)
        for kind in CLASSES
        for name, settings in RIVALS[kind].items()
        for number in range(len(settings))
    ]


def _frames(out: Path, dataset: Path | None, split: str, count: int, seed: int, progress: Progress) -> Frames:
    """The frames of a split of the dataset, of all of it for testing one without splits, or simulated ones."""
    if dataset is not None:
        data = read_dataset(dataset)
        ids = data.ids(split)
        if split == "test" and not ids:
            ids = sorted(set(data.ids()) - set(data.ids("val")))
        if ids or split == "test":
            return Frames(dataset, tuple(ids), _said(dataset, len(ids)))
    folder = _simulated(out, count, seed, progress)
    names = tuple(read_dataset(folder).ids())
    return Frames(folder, names, _said(folder, len(names)) | {"seed": seed, "products": count})


def _said(folder: Path, frames: int) -> dict[str, object]:
    lock = folder / "dataset.lock"
    return {"name": folder.name, "frames": frames, "lock_sha256": sha256_of(lock) if lock.is_file() else ""}


def _simulated(out: Path, count: int, seed: int, progress: Progress) -> Path:
    """Simulate a dataset whole, or take the one that is there."""
    folder = out / f"frames-{seed}-{count}"
    if not (folder / "dataset.lock").is_file():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        write_dataset(part, "mixed", count, seed, None, lambda done, total: progress("simulating", done, total))
        part.rename(folder)
    return folder


__all__ = ["Power", "benchmark", "everyone"]
