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
from rich.markup import escape

from detector.errors import DetectorError, ModelError
from serve import label_commands
from serve.benchmark_commands import benchmark
from serve.fetch_commands import fetch
from serve.options import options_of
from serve.rooms import room
from serve.terminal import stderr
from serve.train_commands import evaluate, export, rejudge, simulate, train, train_glance, train_limb
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
        int, typer.Option(metavar="N", min=1, help="Windows of one size that a GPU is given together.")
    ] = 1
    timeout_s: Annotated[
        float,
        typer.Option(metavar="S", min=0.0, help="A step that takes longer is given up after three tries; 0: never."),
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
    with Progress(stderr()) as progress:
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

    with Progress(stderr()) as progress:
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


for _command in (simulate, train, train_glance, train_limb, export, rejudge, evaluate):
    app.command()(_command)


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
    with Bar(stderr(), "looking at frames") as bar:
        found = series.build(runs, float("nan") if limit_snr is None else limit_snr, kernels, bar.at)
    for name, text in found.tables().items():
        write_whole(out / name, text.encode("utf-8", "backslashreplace"))
    write_whole(out / "timeseries.html", page(found).encode("utf-8", "backslashreplace"))
    typer.echo(f"{len(found.sources)} sources from {found.detections} detections on {found.frames} frames in {out}")


@app.command()
@options_of(ServeOptions)
def serve(options: ServeOptions) -> None:
    """Serve the detector and its page over HTTP."""
    raise typer.Exit(room("serve.web.run", "serve").run(options))


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


def _complain(code: int, message: str) -> int:
    stderr().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
    return code


if __name__ == "__main__":
    main()
