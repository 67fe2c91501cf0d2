"""A real Chromium without a window, driven over its debugging pipe (Chrome DevTools Protocol)."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page of it. `complaints` are the errors, warnings and messages of the page and of the browser about it."""

    def __init__(self, asked: int, told: int) -> None:
        self._asked, self._told = os.fdopen(asked, "wb", 0), os.fdopen(told, "rb", 0)
        self._number, self._session, self._rest = 0, None, b""
        self.complaints: list[str] = []
        self._loaded = False
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        self._asked.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._told.read(1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(head)
        self._loaded |= message.get("method") == "Page.loadEventFired"
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(message["params"])[:400])
        return message

    def open(self, page: Path, width: int) -> None:
        """Loads a page at a width in CSS pixels, and waits for its pictures."""
        self._loaded = False
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.do("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._next()

    def value(self, expression: str) -> Any:
        """What a JavaScript expression or promise gives; it may do what the page's own scripts may not."""
        found = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, box: Sequence[float] | None = None) -> Image.Image:
        """The whole page, or the box (left, top, width, height) of it."""
        clip = {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 1} if box else None
        asked = {"clip": clip} if clip else {}
        data = self.do("Page.captureScreenshot", captureBeyondViewport=True, **asked)["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`."""
    assert PROGRAM
    # Chromium wants its pipes as descriptors 3 and 4; bash puts them there from wherever they are.
    theirs, ours = os.pipe(), os.pipe()
    reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs[0], ours[1]))
    command = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", PROGRAM, *QUIET, f"--user-data-dir={folder}"]
    with subprocess.Popen(command, pass_fds=(reads, writes), stderr=subprocess.DEVNULL) as process:
        for end in (theirs[0], ours[1], reads, writes):
            os.close(end)
        try:
            yield Browser(theirs[1], ours[0])
        finally:
            process.kill()
