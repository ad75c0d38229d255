"""Answers that are kept from run to run: asked for again, they come only when they have changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.atomic import write_whole
from serve.fetch.download import PAGE
from serve.fetch.web import FetchError, PassingError, Web

VALIDATORS = ("etag", "last-modified")


class Shelf:
    """The kept answers of a folder; nothing is kept, and nothing made, without one.

    Args:
        web: the conversation.
        folder: where they are; None for a look that shall leave nothing behind.

    """

    def __init__(self, web: Web, folder: Path | None) -> None:
        self.web, self.folder = web, folder

    def table(self, url: str) -> bytes:
        """Read a table, a label or a manifest of an archive.

        Raises:
            FetchError: as ``Web.ask``, and for a web page where a table belongs.

        """
        if self.folder is None:
            return self._fresh(url, {})[0]
        kept = self.folder / hashlib.sha256(url.encode()).hexdigest()[:24]
        known = _validators(kept)
        content, headers = self._fresh(url, known)
        if known and not headers:
            return kept.read_bytes()
        write_whole(kept, content)
        write_whole(kept.with_suffix(".note"), json.dumps({"url": url, **headers}).encode())
        return content

    def _fresh(self, url: str, known: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
        """Content and validators of an answer; neither where what is known still holds."""
        answer = self.web.ask(url, known)
        if answer.status == 304:
            return b"", {}
        if PAGE.match(answer.content):
            raise FetchError(url, "answers with a web page where a table belongs", "look at it in a browser")
        return answer.content, {"url": url} | {key: answer.headers.get(key, "") for key in VALIDATORS}

    def listing(self, url: str) -> str:
        """Read a folder's listing, which is a web page.

        Raises:
            FetchError: as ``Web.ask``.

        """
        return self.web.ask(url).content.decode("utf-8", "replace")

    def document(self, url: str) -> dict[str, Any]:
        """Read a JSON object; one that is cut off or none at all is asked for again.

        Raises:
            FetchError: as ``Web.ask``, and for what is no JSON object.

        """
        return self.web.patiently(url, lambda: self._document(url))

    def _document(self, url: str) -> dict[str, Any]:
        content = self.web.ask(url).content
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            what = "a web page" if PAGE.match(content) else f"no whole JSON ({error})"
            raise PassingError(f"answers with {what}; JSON was expected") from error
        if not isinstance(document, dict):
            raise FetchError(url, f"answers with a JSON {type(document).__name__}; expected an object")
        return document


def _validators(kept: Path) -> dict[str, str]:
    """What a server said of a kept answer; empty where it is not kept whole."""
    try:
        note = json.loads(kept.with_suffix(".note").read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: note[key] for key in VALIDATORS if note.get(key)} if kept.is_file() else {}
