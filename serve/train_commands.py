"""Commands that make training frames, train, judge and release models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.rooms import room
from serve.show import Bar
from serve.terminal import stderr


def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="Its folder.")],
    instrument: Annotated[str, typer.Option(metavar="NAME", help="ssi, junocam, jiram, sru, picture or mixed.")] = (
        "mixed"
    ),
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many products.")] = 100,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="The same seed gives the same frames.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, show_default=False, help="Distributions to draw from."
        ),
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Contact sheets to look at instead of a dataset.")] = False,
    into: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", exists=True, show_default=False, help="Real frames whose pixels the eruptions are put into."
        ),
    ] = None,
) -> None:
    """Make a dataset of simulated frames with known truth."""
    with Bar(stderr(), "simulating", count) as bar:
        if sheet:
            recipe = room("training.simulate.recipe").read_recipe(config)
            pages = room("training.simulate.sheet").write_sheets(out, instrument, seed, recipe, bar.at)
            said = f"{len(pages)} sheets in {out}"
        elif into:
            frames = room("training.simulate.inject_dataset").inject_dataset(into, out, count, seed, config, bar.at)
            said = f"{frames} frames in {out}"
        else:
            writer = room("training.simulate.write")
            frames = writer.write_dataset(out, instrument, count, seed, config, bar.at)
            said = f"{frames} frames in {out}"
    typer.echo(said)


def train(
    config: Annotated[
        Path, typer.Option(metavar="FILE", exists=True, dir_okay=False, show_default=False, help="The configuration.")
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", file_okay=False, show_default=False, help="Its folder.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]", show_default=False, help="Settings that differ from the configuration."),
    ] = None,
) -> None:
    """Train a model, or go on with an interrupted run."""
    best = room("training.train").train(config, out, overrides or [])
    typer.echo(f"best weights in {best}")


LIMB_CONFIG = typer.Option(metavar="FILE", exists=True, dir_okay=False, show_default=False, help="The configuration.")
LIMB_RUN = typer.Option(metavar="RUN", file_okay=False, show_default=False, help="Its folder.")
LIMB_FILE = typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False, help="To write.")


def train_glance(
    config: Annotated[Path, LIMB_CONFIG], out: Annotated[Path, LIMB_RUN], file: Annotated[Path, LIMB_FILE]
) -> None:
    """Train the network that proposes limbs, or go on with an interrupted run, and write its file."""
    _train_small("training.glance_train", config, out, file)


def train_limb(
    config: Annotated[Path, LIMB_CONFIG], out: Annotated[Path, LIMB_RUN], file: Annotated[Path, LIMB_FILE]
) -> None:
    """Train the network that looks at limbs, or go on with an interrupted run, and write its file."""
    _train_small("training.limb_train", config, out, file)


def _train_small(module: str, config: Path, out: Path, file: Path) -> None:
    with Bar(stderr(), "drawing") as bar:
        gap = room(module).train_and_release(config, out, file, bar.at)
    typer.echo(f"{file}: torch and onnxruntime differ by {gap:.1g} at most")


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", exists=True, file_okay=False, help="A finished run.")],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False, help="The model file.")],
) -> None:
    """Write a trained model as one .onnx file, after checking that it answers as the trained network does."""
    release = room("training.release")
    with Bar(stderr(), "judging") as bar:
        card = release.export(folder, out, progress=bar.at)
    typer.echo(f"{card.name}@{card.version} in {out}")


def rejudge(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", exists=True, dir_okay=False, help="The model file.")],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False, help="The new file.")],
    version: Annotated[str, typer.Option(metavar="VERSION", show_default=False, help="Of the new file.")],
    negative: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, show_default=False,
            help="A real frame on which nothing erupts; may be given several times.",
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Simulated frames to judge by.")] = 8000,
    seed: Annotated[int, typer.Option(help="Of these frames.")] = 900_001,
) -> None:  # fmt: skip
    """Fit the judge of regions and the operating points of a model anew; the network stays as it is."""
    release = room("training.release")
    with Bar(stderr(), "judging") as bar:
        card = release.rejudge(model, out, version, frames, seed, negative or (), progress=bar.at)
    typer.echo(f"{card.name}@{card.version} in {out}")


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="Its folder.")],
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    rivals: Annotated[
        Path | None,
        typer.Option(
            metavar="power.json", show_default=False, help="What `benchmark power` wrote, to show beside the model."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OTHER.onnx", dir_okay=False, show_default=False, help="A model to compare with."),
    ] = None,
) -> None:
    """Judge a model on a dataset and write a report."""
    judge = room("training.evaluate")
    with Bar(stderr(), "judging") as bar:
        report = judge.evaluate(dataset, out, model, rivals=rivals, against=against, progress=bar.at)
    if report.comparison is not None:
        typer.echo(f"{report.comparison.verdict} than {report.comparison.other}".replace("able than", "able from"))
    typer.echo(f"report in {out}")
