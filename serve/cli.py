"""The command line: ``io-detector``.

Exit codes: 0 all fine; 1 unexpected; 2 usage; 3 some frames failed, the rest are done; 4 nothing matched; 5 the model
is missing or refused; 130 interrupted, with the journal flushed. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from detector.errors import DetectorError, ModelError
from serve import label_commands
from serve.fetch_commands import fetch
from serve.options import options_of
from serve.rooms import room as _room
from serve.web.options import ServeOptions

if TYPE_CHECKING:
    from detector.products import Product
    from serve.worker import Settings

USAGE, SOME_FAILED, NOTHING_MATCHED, NO_MODEL, INTERRUPTED = 2, 3, 4, 5, 130
GOING_ON = ("detect", "fetch", "merge", "train", "train-glance", "train-limb", "watch")
"""Commands that take up an interrupted run."""

app = typer.Typer(
    name="io-detector",
    help="Finds volcanic plumes and thermal hot spots on Jupiter's moon Io in spacecraft frames.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(label_commands.labels, name="labels")
app.command()(fetch)
benchmark = typer.Typer(help="Measure how fast and how good things are on this machine.", no_args_is_help=True)
app.add_typer(benchmark, name="benchmark")


class OperatingPoint(StrEnum):
    """Which thresholds of the model to use."""

    screening = "screening"
    confident = "confident"


class Device(StrEnum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Measured(StrEnum):
    """What ``benchmark measure`` measures."""

    plume = "plume"
    power = "power"
    temperature = "temperature"


class Engine(StrEnum):
    """Who does the work of a batch."""

    local = "local"
    ray = "ray"


@dataclass(frozen=True)
class RunOptions:
    """What every command that fills an output folder can be told."""

    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            show_default=False,
            help="Folder for the catalogue, masks and pictures. Running again into it does only what is missing.",
        ),
    ]
    operating_point: Annotated[
        OperatingPoint, typer.Option(help="screening misses little; confident gives few false alarms.")
    ] = OperatingPoint.confident
    device: Annotated[Device, typer.Option(help="auto takes a GPU where onnxruntime has one.")] = Device.auto
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that share the work.")] = 1
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None
    kernels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            exists=True,
            show_default=False,
            help="SPICE kernels, for exact places and heights; IO_DETECTOR_KERNELS of the environment unless given.",
        ),
    ] = None
    no_quicklook: Annotated[bool, typer.Option("--no-quicklook", help="Draw no pictures.")] = False
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Write no mask files.")] = False
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frames of one size that a GPU is given together.")
    ] = 1
    timeout_s: Annotated[
        float,
        typer.Option(metavar="S", min=0.0, help="A frame that takes longer is given up; 0 waits for ever."),
    ] = 600.0

    def settings(self) -> Settings:
        """Give what a worker must know."""
        from serve.worker import Settings

        return Settings(
            self.out,
            self.operating_point.value,
            self.model,
            self.device.value,
            masks=not self.no_masks,
            quicklooks=not self.no_quicklook,
            kernels=self.kernels,
            batch=self.batch,
            timeout_s=self.timeout_s or None,
        )


@dataclass(frozen=True, kw_only=True)
class DetectOptions(RunOptions):
    """What ``io-detector detect`` can be told."""

    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", show_default=False, help="Frames, PDS labels, folders or quoted globs."),
    ]
    engine: Annotated[
        Engine, typer.Option(help="ray shares the work among the machines of a Ray cluster; it needs the extra ray.")
    ] = Engine.local
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Do only this part of the products; `merge` joins the parts.")
    ] = "1/1"
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on.")] = False
    retry: Annotated[bool, typer.Option("--retry", help="Try again what was quarantined.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Put the result on stdout as one JSON document.")] = False


@app.command()
@options_of(DetectOptions)
def detect(options: DetectOptions) -> None:
    """Find plumes and hot spots in frames and leave a catalogue, masks and pictures in a folder."""
    from itertools import chain

    from detector.products import come_upon
    from serve import batch
    from serve.shards import Shard
    from serve.show import Progress, print_document, print_summary

    shard, settings = Shard.parse(options.shard), options.settings()
    products = come_upon(options.paths)
    begun: list[Product] = []
    while not begun or begun[-1].problem:  # nothing is opened or written before there is something to do
        product = next(products, None)
        if product is None:
            reasons = "; ".join(f"{product.data}: {product.problem}" for product in begun)
            raise typer.Exit(_complain(NOTHING_MATCHED, f"no frame found: {reasons}"))
        begun.append(product)
    with Progress(_stderr()) as progress:
        report = batch.run(
            chain(begun, products),
            settings,
            options.workers,
            options.fresh,
            progress.saw,
            began=progress.began,
            crew=_ray_crew(settings, options.workers) if options.engine is Engine.ray else None,
            shard=shard,
            retry=options.retry,
        )
    if options.as_json:
        print_document(report, options.out)
    else:
        print_summary(report, options.out)
    raise typer.Exit(SOME_FAILED if report.counts["rejected"] else 0)


def _ray_crew(settings: Settings, workers: int) -> Any:
    from serve.cluster import Cluster

    return Cluster(settings, workers)


@dataclass(frozen=True, kw_only=True)
class MergeOptions(RunOptions):
    """What ``io-detector merge`` can be told."""

    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", exists=True, file_okay=False, show_default=False, help="Their folders."),
    ]


@app.command()
@options_of(MergeOptions)
def merge(options: MergeOptions) -> None:
    """Join the folders of all shards of a run: the bytes are those of one run over all products."""
    from serve import batch
    from serve.show import Progress, print_summary

    with Progress(_stderr()) as progress:
        report = batch.merge(options.shards, options.settings(), options.workers, progress.saw)
    print_summary(report, options.out)
    raise typer.Exit(SOME_FAILED if report.counts["rejected"] else 0)


@dataclass(frozen=True, kw_only=True)
class WatchOptions(RunOptions):
    """What ``io-detector watch`` can be told."""

    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, show_default=False, help="Where products arrive."),
    ]
    settle_s: Annotated[
        float, typer.Option(metavar="S", min=0.0, help="A file that has not changed for so long may be whole.")
    ] = 5.0
    label_wait_s: Annotated[
        float, typer.Option(metavar="S", min=0.0, help="An image that can be read without a label waits for one.")
    ] = 60.0
    patience_s: Annotated[
        float, typer.Option(metavar="S", min=0.0, help="A product that is still not whole after so long is reported.")
    ] = 600.0
    poll: Annotated[
        bool, typer.Option("--poll", help="Look again and again: for network folders that tell of no changes.")
    ] = False


@app.command()
@options_of(WatchOptions)
def watch(options: WatchOptions) -> None:
    """Wait for products in a folder and detect what is in them, until told to end (Ctrl-C, SIGTERM)."""
    from serve import watch as watching

    pace = watching.Pace(options.settle_s, options.label_wait_s, options.patience_s)
    if logging.getLogger().level <= logging.WARNING:  # not --quiet
        logging.getLogger("serve.watch").setLevel(logging.INFO)
    with watching.ended_by_signals() as ended:
        done = watching.watch(options.folder, options.settings(), pace, ended, options.workers, options.poll)
    typer.echo(f"{done} products in {options.out}")


@app.command()
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
    from serve.show import Bar

    with Bar(_stderr(), "simulating", count) as bar:
        if sheet:
            recipe = _room("training.simulate.recipe").read_recipe(config)
            pages = _room("training.simulate.sheet").write_sheets(out, instrument, seed, recipe, bar.at)
            said = f"{len(pages)} sheets in {out}"
        elif into:
            frames = _room("training.simulate.inject_dataset").inject_dataset(into, out, count, seed, config, bar.at)
            said = f"{frames} frames in {out}"
        else:
            writer = _room("training.simulate.write")
            frames = writer.write_dataset(out, instrument, count, seed, config, bar.at)
            said = f"{frames} frames in {out}"
    typer.echo(said)


@benchmark.command("simulator")
def benchmark_simulator(
    seconds: Annotated[float, typer.Option(metavar="T", min=0.1, help="How long each kind of sample is made.")] = 20.0,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes, one thread each.")] = 2,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the frames.")] = 0,
) -> None:
    """Print how many samples a second the simulator makes, and how many come from its cache."""
    from serve.show import Bar

    with Bar(_stderr(), "measuring") as bar:
        paces = _room("training.simulate.pace").measure(seconds, workers, seed, bar.at)
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
    from serve.show import Bar

    realism = _room("training.simulate.realism")
    with Bar(_stderr(), "simulating") as bar:
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
    from serve.show import Bar

    trial = _room("training.limb_trial")
    with Bar(_stderr(), "finding limbs") as bar:
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
    from serve.show import Bar

    with Bar(_stderr(), "opening") as bar:
        power = _room("training.power").benchmark(
            out, dataset, model, count=count, seed=seed, tuning_count=tuning_count, tuning_seed=tuning_seed,
            workers=workers, progress=bar.stage,
        )  # fmt: skip
    for line in _room("training.power.page").lines(power):
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
    from serve.show import Bar

    speed = _room("training.speed")
    with Bar(_stderr(), "timing") as bar:
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
    from serve.show import Bar

    quantise = _room("training.quantise")
    with Bar(_stderr(), "comparing") as bar:
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
    from serve.show import Bar

    trial = _room("training.retakes")
    known = [trial.Known.read(picture) for picture in pictures]
    detector = Detector(Model.open(model, device="cpu"), operating_point)
    with Bar(_stderr(), "looking") as bar:
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
    from serve.show import Bar

    trial = _room("training.measure_trial")
    measurer = None if truth else trial.found_by(Detector(Model.open(model)))
    with Bar(_stderr(), "measuring") as bar:
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
    from serve.show import Bar

    trial = _room("training.series_trial")
    with Bar(_stderr(), "watching") as bar:
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
    _judge(_room("training.batch_trial").trial(products, damaged, kills, workers, seed, keep, model, engine or ()))


@benchmark.command("throughput")
def benchmark_throughput(
    products: Annotated[int, typer.Option(metavar="N", min=10, help="Simulated products.")] = 130,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes, one thread each.")] = 2,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Everything is timed so often, in turns.")] = 3,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the products.")] = 0,
) -> None:
    """Time a whole batch beside the model alone and the limb search alone."""
    _judge(_room("training.batch_trial").speed(products, workers, rounds, seed))


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
    _judge(_room("training.batch_trial").watch_trial(products, restarts, workers, seed, model=model))


def _judge(verdict: Any) -> None:
    for line in verdict.lines:
        typer.echo(line)
    raise typer.Exit(0 if verdict.passed else 1)


@app.command()
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
    best = _room("training.train").train(config, out, overrides or [])
    typer.echo(f"best weights in {best}")


LIMB_CONFIG = typer.Option(metavar="FILE", exists=True, dir_okay=False, show_default=False, help="The configuration.")
LIMB_RUN = typer.Option(metavar="RUN", file_okay=False, show_default=False, help="Its folder.")
LIMB_FILE = typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False, help="To write.")


@app.command()
def train_glance(
    config: Annotated[Path, LIMB_CONFIG], out: Annotated[Path, LIMB_RUN], file: Annotated[Path, LIMB_FILE]
) -> None:
    """Train the network that proposes limbs, or go on with an interrupted run, and write its file."""
    _train_small("training.glance_train", config, out, file)


@app.command()
def train_limb(
    config: Annotated[Path, LIMB_CONFIG], out: Annotated[Path, LIMB_RUN], file: Annotated[Path, LIMB_FILE]
) -> None:
    """Train the network that looks at limbs, or go on with an interrupted run, and write its file."""
    _train_small("training.limb_train", config, out, file)


def _train_small(room: str, config: Path, out: Path, file: Path) -> None:
    from serve.show import Bar

    with Bar(_stderr(), "drawing") as bar:
        gap = _room(room).train_and_release(config, out, file, bar.at)
    typer.echo(f"{file}: torch and onnxruntime differ by {gap:.1g} at most")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", exists=True, file_okay=False, help="A finished run.")],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", dir_okay=False, show_default=False, help="The model file.")],
) -> None:
    """Write a trained model as one .onnx file, after checking that it answers as the trained network does."""
    from serve.show import Bar

    release = _room("training.release")
    with Bar(_stderr(), "judging") as bar:
        card = release.export(folder, out, progress=bar.at)
    typer.echo(f"{card.name}@{card.version} in {out}")


@app.command()
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
    from serve.show import Bar

    release = _room("training.release")
    with Bar(_stderr(), "judging") as bar:
        card = release.rejudge(model, out, version, frames, seed, negative or (), progress=bar.at)
    typer.echo(f"{card.name}@{card.version} in {out}")


@app.command()
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
    from serve.show import Bar

    judge = _room("training.evaluate")
    with Bar(_stderr(), "judging") as bar:
        report = judge.evaluate(dataset, out, model, rivals=rivals, against=against, progress=bar.at)
    if report.comparison is not None:
        typer.echo(f"{report.comparison.verdict} than {report.comparison.other}".replace("able than", "able from"))
    typer.echo(f"report in {out}")


@app.command()
def doctor(
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Put the findings on stdout as one JSON document.")] = False,
) -> None:
    """Say what is installed, which model is used and where it runs."""
    from serve.doctor import examine
    from serve.show import print_findings

    findings = examine(model)
    print_findings(findings, as_json)
    raise typer.Exit(0 if findings["model"].get("usable") else NO_MODEL)


@app.command()
def timeseries(
    catalogues: Annotated[
        list[Path],
        typer.Argument(metavar="CATALOGUE...", show_default=False, help="catalogue.csv files, or their folders."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, show_default=False, help="Folder for tables and page.")
    ],
    kernels: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, show_default=False, help="SPICE kernels."),
    ] = None,
    limit_snr: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.0,
            show_default=False,
            help="Upper limits are this signal-to-noise; what the released model's evaluation measured unless given.",
        ),
    ] = None,
) -> None:
    """Join the detections of many frames to sources and follow each source through time."""
    from detector import timeseries as series
    from detector.timeseries_page import page
    from serve.atomic import write_whole
    from serve.show import Bar

    runs = [series.read_run(path) for path in catalogues]
    with Bar(_stderr(), "looking at frames") as bar:
        found = series.build(runs, float("nan") if limit_snr is None else limit_snr, kernels, bar.at)
    for name, text in found.tables().items():
        write_whole(out / name, text.encode("utf-8", "backslashreplace"))
    write_whole(out / "timeseries.html", page(found).encode("utf-8", "backslashreplace"))
    typer.echo(f"{len(found.sources)} sources from {found.detections} detections on {found.frames} frames in {out}")


@app.command()
@options_of(ServeOptions)
def serve(options: ServeOptions) -> None:
    """Serve the detector and its page over HTTP."""
    raise typer.Exit(_room("serve.web.run", "serve").run(options))


def _print_version(wanted: bool) -> None:
    if wanted:
        from serve.batch import software_version

        typer.echo(f"io-detector {software_version()}")
        raise typer.Exit


@app.callback()
def whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
) -> None:
    """Find volcanic plumes and thermal hot spots on Jupiter's moon Io in spacecraft frames."""
    logging.basicConfig(
        level=logging.ERROR if quiet else logging.WARNING,
        stream=sys.stderr,
        format="%(levelname)s %(message)s",
        force=True,
    )


class Interrupted(BaseException):
    """The user or the system asked the process to end. Not a KeyboardInterrupt: typer would make exit code 1 of it."""


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command, given as the words after ``io-detector``, and return its exit code."""
    try:
        app(arguments, prog_name="io-detector")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except Interrupted:
        goes_on = next((word for word in arguments if not word.startswith("-")), "") in GOING_ON
        kept = "; what is done is kept: the same command goes on from here"
        return _complain(INTERRUPTED, f"interrupted{kept if goes_on else ''}")
    except ModelError as error:
        return _complain(NO_MODEL, str(error))
    except DetectorError as error:
        return _complain(USAGE, str(error))
    except OSError as error:  # a folder that cannot be made, a full disk
        return _complain(USAGE, str(error))
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _stderr() -> Console:
    return Console(stderr=True)


def _complain(code: int, message: str) -> int:
    _stderr().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
    return code


if __name__ == "__main__":
    main()
