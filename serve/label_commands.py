"""The sub-commands of ``io-detector labels``: labels in and out, drafts, checks and splits."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from serve.rooms import room
from serve.terminal import stderr

PROBLEMS, SOME_FAILED = 2, 3

labels = typer.Typer(help="Look after datasets of labelled frames.", no_args_is_help=True)


class Format(StrEnum):
    """A format of labels."""

    coco = "coco"
    labelme = "labelme"
    png = "png"
    limb_plume_yaml = "limb-plume-yaml"


class Group(StrEnum):
    """What is never torn apart by a split."""

    orbit = "orbit"
    observation = "observation"
    instrument = "instrument"


class OperatingPoint(StrEnum):
    """Which thresholds of the model to use."""

    screening = "screening"
    confident = "confident"


Dataset = Annotated[Path, typer.Argument(metavar="DATASET", exists=True, file_okay=False)]
FormatOption = Annotated[Format, typer.Option("--format", show_default=False, help="What the labels are written in.")]


@labels.command("check")
def check(dataset: Dataset) -> None:
    """Say what is wrong with a dataset."""
    problems = room("training.labels.check").check_dataset(dataset)
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(PROBLEMS if problems else 0)


@labels.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", exists=True, help="A label file, a folder of them, or an exported .zip.")
    ],
    kind: FormatOption,
    frames: Annotated[
        Path, typer.Option(metavar="DIR", exists=True, show_default=False, help="The archive frames they speak of.")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DATASET", file_okay=False, show_default=False, help="A new dataset, or one to add to."),
    ],
    category: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=CLASS", show_default=False, help="Another name of plume, hotspot or unknown."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv", exists=True, dir_okay=False, show_default=False, help="value,class of indexed masks."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="These labels take the place of those a frame has already.")
    ] = False,
) -> None:
    """Put labels of another tool on archive frames: make a dataset, or add to one."""
    from serve.show import Bar

    importing, masks = room("training.labels.importing"), room("training.labels.index_mask")
    options = importing.Options(
        room("training.labels.picture_labels").read_aliases(category or ()),
        masks.USUAL if table is None else masks.read_table(table),
        replace,
    )
    with Bar(stderr(), "matching") as bar:
        done = importing.import_labels(source, kind.value, frames, out, options, bar.at)
    typer.echo(
        f"{done.frames} frames in {out}: {done.objects['plume']} plumes, {done.objects['hotspot']} hot spots, "
        f"{done.intervals} stretches of limb; nothing is marked on {done.empty}"
    )


@labels.command("export")
def export(
    dataset: Dataset,
    kind: FormatOption,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="A new folder.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="Also write the frames as 8-bit pictures.")] = False,
    polygons: Annotated[bool, typer.Option("--polygons", help="COCO outlines instead of run lengths.")] = False,
) -> None:
    """Write the labels of a dataset for another tool."""
    from serve.show import Bar

    with Bar(stderr(), "writing") as bar:
        done = room("training.labels.exporting").export_labels(
            dataset, kind.value, out, pictures=pictures, polygons=polygons, progress=bar.at
        )
    typer.echo(f"{done.frames} frames in {out}")
    for lost in done.lost:
        typer.echo(f"{kind.value} cannot hold {lost}", err=True)


@labels.command("draft")
def draft(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", show_default=False, help="Frames, PDS labels, folders or quoted globs."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            show_default=False,
            help="Pictures and labels.coco.json. Interrupted, the same command goes on.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    operating_point: Annotated[
        OperatingPoint, typer.Option(help="screening misses little: to strike out is less work than to find.")
    ] = OperatingPoint.screening,
    simplify: Annotated[
        float, typer.Option(metavar="PX", min=0.0, help="Fewer points; outlines may be so far off. 0 is exact.")
    ] = 0.0,
) -> None:
    """Find plumes and hot spots and write them as labels to correct in CVAT or Label Studio."""
    from serve.show import Bar

    with Bar(stderr(), "drafting") as bar:
        done = room("training.labels.draft").draft(paths, out, model, operating_point.value, simplify, bar.at)
    for problem in done.failed:
        typer.echo(problem, err=True)
    found = ", ".join(f"{count} {kind}s" for kind, count in done.regions.items())
    typer.echo(f"{done.pictures} pictures in {out}: {found}")
    raise typer.Exit(SOME_FAILED if done.failed else 0)


@labels.command("split")
def split(
    dataset: Dataset,
    by: Annotated[Group, typer.Option(help="What stays together. An unknown orbit: its observation.")] = Group.orbit,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="An orbit, observation or instrument for the test."),
    ] = None,
) -> None:
    """Split a dataset into train, val and test, by whole orbits, observations or instruments."""
    counts = room("training.labels.splits").split_dataset(dataset, by.value, leave_out or ())
    typer.echo(", ".join(f"{name} {counts[name]}" for name in ("train", "val", "test")) + f" frames, by {by.value}")
