"""A headless Chromium that is spoken to through a pipe, where one is installed.

The browser's own protocol, one JSON object after another with a zero byte between: commands go to
its file 3, answers and events come from its file 4. No port is opened.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page at a time; `events` holds what happened since it was opened."""

    def __init__(self, profile: Path, wait: float = 60) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        to, back = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out))  # off 3 and 4
        become = f"import os, sys; os.dup2({to}, 3); os.dup2({back}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        flags = [*FLAGS, f"--user-data-dir={profile}", "about:blank"]
        command = [sys.executable, "-S", "-c", become, str(FOUND), *flags]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, pass_fds=(to, back), **quiet)  # type: ignore[call-overload]
        for end in (theirs_in, theirs_out, to, back):
            os.close(end)
        self.read, self.write, self.wait = ours_in, ours_out, wait
        self.buffer, self.count, self.session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = next(one for one in self.do("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.read)
        os.close(self.write)

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._next()
            if heard.get("id") == self.count:
                assert "error" not in heard, f"{method}: {heard['error']}"
                return dict(heard["result"])
            self.events.append(heard)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + self.wait
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, until - time.monotonic()))
            part = os.read(self.read, 1 << 16) if ready else b""
            if not part:
                raise TimeoutError(f"{FOUND} says nothing")
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\0")
        return dict(json.loads(line))

    def open(self, page: Path, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Load a file and wait until all of it is there."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.do("Page.navigate", url=page.resolve().as_uri())
        while not self.heard("Page.loadEventFired"):
            self.events.append(self._next())
        self.value("new Promise(done => setTimeout(done, 50))")

    def heard(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each event of that kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, in the page that is open."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, path: Path, whole: bool = True) -> Path:
        """A screenshot as a PNG file."""
        shot = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        width, height = self.value("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        return {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
