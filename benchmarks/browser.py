"""Headless Chromium, driven through its DevTools pipe: no driver, no port and no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

PATIENCE = 240  # seconds, of a loaded machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
# The browser reads commands from descriptor 3 and answers on 4.
_AS_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}
_KEYS |= {"Enter": 13, "Tab": 9, " ": 32, "z": 90}


def installed():
    """Return the browser's program, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing(folder):
    """Start a browser whose profile and downloads lie in the folder; yield its page."""
    commands, answers = os.pipe(), os.pipe()
    ends = commands[0], answers[1]
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-c", _AS_3_AND_4, *map(str, ends)),
            *(installed(), f"--user-data-dir={folder / 'profile'}", *_FLAGS),
        ],
        pass_fds=ends,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in ends:
        os.close(end)
    page = Page(commands[1], answers[0], folder)
    try:
        page.start()
        yield page
        page.call("Browser.close", session=False)
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands[1])
        os.close(answers[0])


class Page:
    """One page: commands are answered before they return; what happens meanwhile is kept."""

    def __init__(self, writing, reading, folder):
        self._writing, self._reading, self.folder = writing, reading, folder
        self._buffer, self._number, self._session = b"", 0, None
        self.events = []

    def start(self):
        self.call("Target.setDiscoverTargets", session=False, discover=True)
        made = self._event(
            "Target.targetCreated", lambda event: event["targetInfo"]["type"] == "page"
        )
        self.call("Target.setDiscoverTargets", session=False, discover=False)
        target = made["targetInfo"]["targetId"]
        attached = self.call("Target.attachToTarget", session=False, targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.call(
            "Browser.setDownloadBehavior",
            session=False,
            behavior="allowAndName",
            downloadPath=str(self.folder),
            eventsEnabled=True,
        )

    def call(self, method, *, session=True, timeout=PATIENCE, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + timeout
        while (answer := self._next(until)).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self, until):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser did not answer in time"
            read = os.read(self._reading, 1 << 20)
            assert read, "the browser has gone"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _event(self, method, is_wanted, since=0):
        """Wait for such an event, among those after the first `since`; return its parameters."""
        until = time.monotonic() + PATIENCE
        while True:
            for event in self.events[since:]:
                if event["method"] == method and is_wanted(event["params"]):
                    return event["params"]
            since = len(self.events)
            self.events.append(self._next(until))

    def open(self, page):
        """Open a file, by its path, or an address."""
        self.events.clear()
        url = page if isinstance(page, str) else page.resolve().as_uri()
        loader = self.call("Page.navigate", url=url)["loaderId"]
        loaded = {"name": "load", "loaderId": loader}
        self._event("Page.lifecycleEvent", lambda event: loaded.items() <= event.items())

    def download(self, expression):
        """Run a script that makes the browser save a file; return the file once it is whole."""
        before = len(self.events)
        self.run(expression)
        begun = self._event("Browser.downloadWillBegin", lambda _: True, before)
        of_it = {"guid": begun["guid"]}
        ended = self._event(
            "Browser.downloadProgress",
            lambda event: of_it.items() <= event.items() and event["state"] != "inProgress",
            before,
        )
        assert ended["state"] == "completed", ended
        return (self.folder / begun["guid"]).replace(self.folder / begun["suggestedFilename"])

    def run(self, expression):
        """Return what a script's expression, or the promise it makes, comes to."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression, timeout=PATIENCE):
        until = time.monotonic() + timeout
        while not (value := self.run(expression)):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.02)
        return value

    def choose_files(self, selector, files):
        """Give files to an input, as its dialog does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key, modifiers=0):
        """Press a key where the focus is; modifiers: 2 is Ctrl, 8 Shift."""
        one = {"key": key, "code": f"Key{key.upper()}" if len(key) == 1 else key}
        one |= {"windowsVirtualKeyCode": _KEYS[key], "modifiers": modifiers}
        if key == "Enter":
            one["text"] = "\r"
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, **one)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def size(self, width, height, *, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path, *, whole=True):
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """Return errors and warnings of the console, and exceptions nobody caught."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        logged = [event["params"] for event in self.events if event["method"] in kinds]
        for event in self.events:
            if event["method"] == "Runtime.consoleAPICalled":
                logged += [event["params"]] * (event["params"]["type"] in ("error", "warning"))
        return logged

    def requests(self):
        """Return the addresses of everything asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
