"""``io-detector benchmark``: how fast and how good things are on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from serve.rooms import room
from serve.show import Bar
from serve.terminal import stderr

benchmark = typer.Typer(help="Measure how fast and how good things are on this machine.", no_args_is_help=True)


class Measured(StrEnum):
    """What ``benchmark measure`` measures."""

    plume = "plume"
    power = "power"
    temperature = "temperature"


@benchmark.command("simulator")
def benchmark_simulator(
    seconds: Annotated[float, typer.Option(metavar="T", min=0.1, help="How long each kind of sample is made.")] = 20.0,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes, one thread each.")] = 2,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the frames.")] = 0,
) -> None:
    """Print how many samples a second the simulator makes, and how many come from its cache."""
    with Bar(stderr(), "measuring") as bar:
        paces = room("training.simulate.pace").measure(seconds, workers, seed, bar.at)
    for pace in paces:
        typer.echo(f"{pace.what:<24}{pace.per_second:8.1f} a second   {pace.samples} on {pace.workers} processes")


@benchmark.command("realism")
def benchmark_realism(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Real frames.")],
    out: Annotated[Path, typer.Option(metavar="FILE.md", dir_okay=False, show_default=False, help="The page.")],
    count: Annotated[int, typer.Option(metavar="N", min=5, help="Simulated products an instrument.")] = 60,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the simulated frames.")] = 0,
) -> None:
    """Compare simulated frames with real ones in numbers: noise, spectrum, histogram, sharpness of the limb."""
    realism = room("training.simulate.realism")
    with Bar(stderr(), "simulating") as bar:
        rows = realism.compare(paths, seed, count, bar.at)
    realism.write_page(rows, out, seed, count)
    outside = sum(not row.inside for row in rows)
    typer.echo(f"{len(rows)} measures, {outside} outside what is simulated, in {out}")


@benchmark.command("limb")
def benchmark_limb(
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Frames.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the simulated frames.")] = 31_000,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = 2,
    kernels: Annotated[bool, typer.Option("--kernels", help="As if SPICE told the view.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", dir_okay=False, show_default=False, help="A row a frame.")
    ] = None,
) -> None:
    """Try the limb finder on simulated frames: right, wrong, missed and invented circles."""
    trial = room("training.limb_trial")
    with Bar(stderr(), "finding limbs") as bar:
        trials = trial.run(count, seed, workers, bar.at, kernels)
    if out is not None:
        trial.write_trials(out, trials)
    for line in trial.summary(trials):
        typer.echo(line)


@benchmark.command("power")
def benchmark_power(
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="Its folder.")],
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATASET]", exists=True, file_okay=False, show_default=False, help="Simulated unless given."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Simulated products to judge on.")] = 100,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of these.")] = 62_001,
    tuning_count: Annotated[int, typer.Option(metavar="N", min=1, help="Simulated products to tune rivals on.")] = 75,
    tuning_seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of these.")] = 61_001,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = 2,
) -> None:
    """Compare the model with star finders and a limb-annulus detector at equal false-alarm rates."""
    with Bar(stderr(), "opening") as bar:
        power = room("training.power").benchmark(
            out, dataset, model, count=count, seed=seed, tuning_count=tuning_count, tuning_seed=tuning_seed,
            workers=workers, progress=bar.stage,
        )  # fmt: skip
    for line in room("training.power.page").lines(power):
        typer.echo(line)


@benchmark.command("speed")
def benchmark_speed(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", dir_okay=False, show_default=False, help="The times.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    yolo: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", show_default=False, help="YOLO11n-seg, 800 x 800.")
    ] = None,
    unet: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", show_default=False, help="U-Net resnet18, 800 x 800.")
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=2, help="How often each is timed.")] = 12,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the simulated frames.")] = 62_001,
) -> None:
    """Time the model and the whole road beside other networks and a star finder."""
    from serve.atomic import write_whole

    speed = room("training.speed")
    with Bar(stderr(), "timing") as bar:
        timed = speed.measure(model, yolo, unet, rounds=rounds, seed=seed, progress=bar.at)
    if out is not None:
        write_whole(out, timed.to_json().encode())
    for line in speed.lines(timed):
        typer.echo(line)


@benchmark.command("int8")
def benchmark_int8(
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Simulated frames.")] = 300,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the simulated frames.")] = 65_001,
    model: Annotated[Path | None, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False)] = None,
) -> None:
    """Compare the model with itself in whole numbers of 8 bits: what each finds, what it takes, how large it is."""
    from detector.session import RELEASED

    quantise = room("training.quantise")
    with Bar(stderr(), "comparing") as bar:
        comparison = quantise.compare(model or RELEASED, count, seed, bar.at)
    for line in comparison.lines():
        typer.echo(line)


@benchmark.command("retakes")
def benchmark_retakes(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Pictures with Io's limb; FILE@X,Y for one plume there, FILE@X,Y,RADIUS for a limb that is known.",
        ),
    ],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Retakes of each.")] = 100,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the retakes.")] = 66_001,
    model: Annotated[Path | None, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False)] = None,
    operating_point: Annotated[str, typer.Option(metavar="NAME")] = "confident",
) -> None:
    """Turn, scale, cut, tone and compress real pictures anew, and count limbs, plumes found and false reports."""
    from detector.detect import Detector
    from detector.session import Model

    trial = room("training.retakes")
    known = [trial.Known.read(picture) for picture in pictures]
    detector = Detector(Model.open(model, device="cpu"), operating_point)
    with Bar(stderr(), "looking") as bar:
        counts = trial.trial(known, count, seed, detector, bar.at)
    for one in counts:
        typer.echo(one.line())


@benchmark.command("measure")
def benchmark_measure(
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Frames of each kind.")] = 500,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the simulated frames.")] = 51_000,
    truth: Annotated[bool, typer.Option("--truth", help="Measure the true masks instead of what is found.")] = False,
    model: Annotated[Path | None, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False)] = None,
    only: Annotated[
        Measured | None, typer.Option(show_default=False, help="One kind of measurement instead of all.")
    ] = None,
) -> None:
    """Compare measured heights, vents, powers and temperatures of simulated eruptions with the truth."""
    from detector.detect import Detector
    from detector.session import Model

    trial = room("training.measure_trial")
    measurer = None if truth else trial.found_by(Detector(Model.open(model)))
    with Bar(stderr(), "measuring") as bar:
        cases = trial.run(count, seed, measurer, bar.at, [only] if only else trial.KINDS)
    for line in trial.summary(cases):
        typer.echo(line)


@benchmark.command("timeseries")
def benchmark_timeseries(
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="For the page.")],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Frames.")] = 50,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the eruptions and the frames.")] = 53_000,
    operating_point: Annotated[str, typer.Option(metavar="NAME", help="screening or confident.")] = "confident",
    model: Annotated[Path | None, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False)] = None,
) -> None:
    """Join the detections of frames of known eruptions to sources and count them."""
    from detector.detect import Detector
    from detector.session import Model
    from detector.timeseries_page import page
    from serve.atomic import write_whole

    trial = room("training.series_trial")
    with Bar(stderr(), "watching") as bar:
        tally = trial.run(Detector(Model.open(model), operating_point), count, seed, bar.at)
    for name, table in tally.series.tables().items():
        write_whole(out / name, table.encode())
    write_whole(out / "timeseries.html", page(tally.series).encode("utf-8", "backslashreplace"))
    for line in tally.lines():
        typer.echo(line)


@benchmark.command("batch")
def benchmark_batch(
    products: Annotated[int, typer.Option(metavar="N", min=1, help="Simulated products.")] = 2000,
    damaged: Annotated[float, typer.Option(metavar="X", min=0.0, max=1.0, help="Share that is damaged.")] = 0.05,
    kills: Annotated[int, typer.Option(metavar="N", min=0, help="How often the run is killed.")] = 20,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = 2,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of products, damage and kills.")] = 0,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="Keep the files here.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(metavar="NAME", show_default=False, help="Do it all by this engine too: ray.")
    ] = None,
) -> None:
    """Kill a batch run again and again, let it go on, and compare what it leaves with an undisturbed run."""
    _judge(room("training.batch_trial").trial(products, damaged, kills, workers, seed, keep, model, engine or ()))


@benchmark.command("throughput")
def benchmark_throughput(
    products: Annotated[int, typer.Option(metavar="N", min=10, help="Simulated products.")] = 130,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes, one thread each.")] = 2,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Everything is timed so often, in turns.")] = 3,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the products.")] = 0,
) -> None:
    """Time a whole batch beside the model alone and the limb search alone."""
    _judge(room("training.batch_trial").speed(products, workers, rounds, seed))


@benchmark.command("watch")
def benchmark_watch(
    products: Annotated[int, typer.Option(metavar="N", min=1, help="Simulated products.")] = 500,
    restarts: Annotated[int, typer.Option(metavar="N", min=0, help="How often the watch is ended.")] = 2,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = 2,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the products and their pieces.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
) -> None:
    """Let products arrive in pieces in a watched folder and count what comes of them."""
    _judge(room("training.batch_trial").watch_trial(products, restarts, workers, seed, model=model))


def _judge(verdict: Any) -> None:
    for line in verdict.lines:
        typer.echo(line)
    raise typer.Exit(0 if verdict.passed else 1)
