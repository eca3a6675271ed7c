"""Keys pressed in Chromium, over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol).

The browser takes commands on descriptor 3 and answers on 4, as JSON that ends with a zero byte
(`--remote-debugging-pipe`).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.browser import needs_browser

_SECONDS = 60.0
"""So long an answer is waited for, on a machine with much else to do."""

_KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "End": (35, ""), "Home": (36, ""),
    "ArrowLeft": (37, ""), "ArrowUp": (38, ""), "ArrowRight": (39, ""), "ArrowDown": (40, ""),
}  # fmt: skip
"""Codes of the keys, and the text that each types (Windows virtual-key codes, as the protocol has them)."""

_SHIFT = 8


STOPS = """[...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter(e =>
  e.checkVisibility() && !(e.closest("details:not([open])") && e.tagName != "SUMMARY"))"""
"""What a keyboard stops at, in the order of the page."""

ACTIVE = "document.activeElement"
_RING = f"(s => s.outlineStyle + ' ' + s.outlineWidth)(getComputedStyle({ACTIVE}))"
_IN_SIGHT = f"(r => r.top < innerHeight && r.bottom > 0 && r.left >= 0)({ACTIVE}.getBoundingClientRect())"
_WIDE = """[...document.querySelectorAll("*")].filter(e => e.checkVisibility()
  && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX == "auto")"""


def stops(tab: Tab) -> int:
    """At how many places Tab stops in the page; each is seen to be reached forth and back, in order, in sight
    and with a ring around it, and the browser's own controls after the last."""
    at, count = f"{STOPS}.indexOf({ACTIVE})", int(tab.ask(f"{STOPS}.length"))
    for number in range(count):
        tab.press("Tab")
        assert tab.ask(at) == number
        assert tab.ask(_RING) == "solid 3px"
        tab.until(_IN_SIGHT)
    tab.press("Tab")
    assert tab.ask(f"{ACTIVE} === document.body")
    for number in reversed(range(count)):
        tab.press("Tab", shift=True)
        assert tab.ask(at) == number
    return count


def scrollers(tab: Tab) -> int:
    """How many parts of the page are too wide and scroll; a key can reach each, and the page is not wider."""
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
    assert tab.ask(f"{_WIDE}.filter(e => e.tabIndex != 0).map(e => e.outerHTML.slice(0, 80))") == []
    return int(tab.ask(f"{_WIDE}.length"))


class Tab:
    """One page of the browser."""

    def __init__(self, ask: Callable[..., dict[str, Any]], session: str) -> None:
        self._ask, self._session = ask, session

    def _do(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._ask(method, session=self._session, **parameters)

    def open(self, page: Path, width: int = 1000, height: int = 700) -> None:
        """Load a file in a window of this size, with the focus in the page and on nothing in it."""
        self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._do("Emulation.setFocusEmulationEnabled", enabled=True)
        self._do("Page.navigate", url=page.as_uri())
        self.until(f"document.readyState == 'complete' && location.href == {json.dumps(page.as_uri())}")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key, as a user does."""
        code, text = _KEYS[key]
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        event["modifiers"] = _SHIFT if shift else 0
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self._do("Input.dispatchKeyEvent", **event, **down)
        self._do("Input.dispatchKeyEvent", **event, type="keyUp")

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self._do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression holds in the page: scrolling takes its time."""
        end = time.monotonic() + _SECONDS
        while not self.ask(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.02)


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """A browser without a window, with one empty page; skips the test where there is none."""
    (child_in, to_child), (from_child, child_out) = os.pipe(), os.pipe()
    command = [
        needs_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={profile}", "--disable-smooth-scrolling", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    redirected = f'exec "$@" 3</dev/fd/{child_in} 4>/dev/fd/{child_out}'
    with subprocess.Popen(
        ["sh", "-c", redirected, "sh", *command],
        pass_fds=(child_in, child_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as browser:
        os.close(child_in)
        os.close(child_out)
        asked = _asking(to_child, from_child)
        try:
            target = asked("Target.createTarget", url="about:blank")["targetId"]
            yield Tab(asked, asked("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
            asked("Browser.close")
            browser.wait(_SECONDS)
        finally:
            browser.kill()
            os.close(to_child)
            os.close(from_child)


def _asking(to_child: int, from_child: int) -> Callable[..., dict[str, Any]]:
    messages = _messages(from_child)
    number = 0

    def ask(method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        nonlocal number
        number += 1
        command: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        os.write(to_child, json.dumps(command).encode() + b"\0")
        answer = next(message for message in messages if message.get("id") == number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    return ask


def _messages(source: int) -> Iterator[dict[str, Any]]:
    rest = b""
    while True:
        *whole, rest = rest.split(b"\0")
        yield from map(json.loads, whole)
        ready, _, _ = select.select([source], [], [], _SECONDS)
        data = os.read(source, 1 << 16) if ready else b""
        assert data, "the browser does not answer"
        rest += data
