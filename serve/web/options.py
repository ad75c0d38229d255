"""What ``io-detector serve`` can be told. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from serve.web.limits import MIB, Limits

DEFAULT = Limits()


@dataclass(frozen=True)
class ServeOptions:
    """Options of the service."""

    host: Annotated[
        str, typer.Option(metavar="NAME", help="Address to listen on; any but this machine needs a token.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8000
    store: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder for uploads, results and corrections.")
    ] = Path("io-detector-store")
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", envvar="IO_DETECTOR_TOKEN", show_default=False, show_envvar=True,
            help="What a client must show; better in the environment, where other users do not see it.",
        ),
    ] = None  # fmt: skip
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="A name under which the service may be asked for."),
    ] = None
    operating_point: Annotated[
        str, typer.Option(metavar="NAME", help="screening keeps faint ones, for the page's slider; or confident.")
    ] = "screening"
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The .onnx file; the released model unless given."),
    ] = None
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto"
    kernels: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, exists=True, show_default=False, help="SPICE kernels."),
    ] = None
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that detect.")] = DEFAULT.workers
    max_waiting: Annotated[int, typer.Option(metavar="N", min=1, help="Jobs that may wait.")] = DEFAULT.waiting
    max_requests: Annotated[int, typer.Option(metavar="N", min=1, help="Requests at one time.")] = DEFAULT.requests
    max_upload_mib: Annotated[int, typer.Option(metavar="N", min=1, help="Of one upload.")] = (
        DEFAULT.upload_bytes // MIB
    )
    max_unpacked_mib: Annotated[int, typer.Option(metavar="N", min=1, help="Of one upload, unpacked.")] = (
        DEFAULT.unpacked_bytes // MIB
    )
    max_files: Annotated[int, typer.Option(metavar="N", min=1, help="In one upload.")] = DEFAULT.members
    max_pixels: Annotated[int, typer.Option(metavar="N", min=1, help="Of one product.")] = DEFAULT.pixels
    max_seconds: Annotated[float, typer.Option(metavar="T", min=1, help="Of work on one product.")] = DEFAULT.seconds
    max_memory_mib: Annotated[int, typer.Option(metavar="N", min=256, help="Of a worker for one product.")] = (
        DEFAULT.memory_bytes // MIB
    )

    @property
    def limits(self) -> Limits:
        """The limits among them."""
        return Limits(
            upload_bytes=self.max_upload_mib * MIB,
            unpacked_bytes=self.max_unpacked_mib * MIB,
            members=self.max_files,
            pixels=self.max_pixels,
            seconds=self.max_seconds,
            memory_bytes=self.max_memory_mib * MIB,
            workers=self.workers,
            waiting=self.max_waiting,
            requests=self.max_requests,
        )
