"""Official files from their official places: checked by SHA-256, resumed where they were cut off."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from triptych.data.places import hold, make_room
from triptych.errors import DataError
from triptych.words import shown

OFFLINE = "TRIPTYCH_OFFLINE"
_PATIENCE = 30.0  # seconds without a byte
_PIECE = 2**20


class Remote(NamedTuple):
    """A file that never changes."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def fetch(remote: Remote, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """The file in `folder`: the one that is there, if it is the official one, else downloaded."""
    target = folder / remote.name
    if target.exists():
        _check(remote, target, "delete it, so that it can be fetched again")
        return target
    make_room(folder, remote.size)
    part = folder / f"{remote.name}.part"
    with open(part, "ab") as file:
        hold(file.fileno())
        if target.exists():  # another process was faster
            part.unlink(missing_ok=True)
            return target
        try:
            _download(remote, file, progress)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(remote, folder, str(error)) from error
        os.fsync(file.fileno())
        try:
            _check(remote, part, "what came from there is not what was published")
        except DataError:
            part.unlink()
            raise
        os.replace(part, target)
    return target


def _download(remote: Remote, file: IO[bytes], progress: Callable[[int, int], None]) -> None:
    """Append what is missing."""
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise OSError(f"{OFFLINE} is set")
    if file.tell() >= remote.size:
        _restart(file)
    with contextlib.closing(request(remote.url, file.tell())) as response:
        if file.tell() and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            _restart(file)
        while piece := response.read(_PIECE):
            file.write(piece)
            progress(min(file.tell(), remote.size), remote.size)
            if file.tell() > remote.size:
                break
    file.flush()
    if file.tell() < remote.size:
        raise OSError(f"it ended after {file.tell():,} of {remote.size:,} bytes; the next try goes on there")


def _restart(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


def request(url: str, start: int) -> Any:
    """An open response that begins at byte `start`; only https, and only from one site."""
    if urlsplit(url).scheme != "https":
        raise OSError(f"{url} is not https")
    headers = {"User-Agent": "triptych", **({"Range": f"bytes={start}-"} if start else {})}
    opener = urllib.request.build_opener(SameSite)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=_PATIENCE)


class SameSite(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to https and within the parent domain."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        site = (old.hostname or "").partition(".")[2]
        if new.scheme != "https" or not f".{new.hostname or ''}".endswith(f".{site}"):
            raise urllib.error.URLError(f"redirected to another place, {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(remote: Remote, path: Path, cure: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != remote.sha256:
        hashes = f"SHA-256 {found} instead of {remote.sha256}"
        raise DataError(f"{shown(str(path))} is not the official file ({hashes}): {cure}.")


def _unreachable(remote: Remote, folder: Path, reason: str) -> DataError:
    return DataError(
        f"{remote.name} could not be fetched from {remote.url} ({reason}): fetch it elsewhere and put it "
        f"into {shown(str(folder))} ({remote.size:,} bytes, SHA-256 {remote.sha256})."
    )
