"""Runs xo/watch.mjs, which is Xen Orchestra's own client of XAPI, and reads what it tells."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from tests.clients.lab import PASSWORD, USER, WAIT_S_MAX
from tests.clients.node import FOLDER

Line = Mapping[str, Any]


class Watching:
    """A client that watches. `seen` has every line so far, `errors` what went to stderr."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.seen: list[Line] = []
        self.errors: list[str] = []
        self._process = process
        self._stdin = process.stdin
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._asked = 0
        self._readers = [
            threading.Thread(target=_read, args=(process.stdout, self._lines.put)),
            threading.Thread(target=_read, args=(process.stderr, self.errors.append)),
        ]
        for reader in self._readers:
            reader.start()

    def until(self, **wanted: object) -> Line:
        """Return the next line with these members; what comes before it is in `seen`."""
        while True:
            line = self._next(wanted)
            if all(line.get(key) == value for key, value in wanted.items()):
                return line

    def send(self, **question: object) -> int:
        """Have the client do something; returns the number that its answer will have."""
        self._asked += 1
        self._stdin.write(json.dumps({"ask": self._asked, **question}) + "\n")
        self._stdin.flush()
        return self._asked

    def ask(self, **question: object) -> Any:
        """Have the client do something; returns the result. Raises AssertionError."""
        line = self.until(saw="answer", ask=self.send(**question))
        assert "message" not in line, f"{question}: {line}"
        return line.get("result")  # None where JavaScript has undefined

    def call(self, method: str, *args: object) -> Any:
        """Call a method that answers at once."""
        return self.ask(call=method, args=args)

    def call_async(self, method: str, *args: object) -> Any:
        """Call a method with a task, whose end the client learns from events."""
        return self.ask(**{"call": method, "args": args, "async": True})

    def barrier(self) -> None:
        """Return when the client has seen what happened until now."""
        self.ask(barrier=True)

    def state(self) -> dict[str, dict[str, Any]]:
        """Return every object in the client's cache, by class and reference."""
        answer: dict[str, dict[str, Any]] = self.ask(state=True)
        return answer

    def end(self) -> int:
        """Close its stdin, which ends it; returns the exit code."""
        self._stdin.close()
        try:
            return self._process.wait(WAIT_S_MAX)
        finally:
            self._process.kill()
            for reader in self._readers:
                reader.join(WAIT_S_MAX)

    def _next(self, wanted: object) -> Line:
        try:
            text = self._lines.get(timeout=WAIT_S_MAX)
        except queue.Empty:
            raise AssertionError(f"no {wanted}; stderr: {''.join(self.errors)}") from None
        if not text:
            raise AssertionError(f"ended before {wanted}; stderr: {''.join(self.errors)}")
        line: Line = json.loads(text)
        self.seen.append(line)
        return line


def _read(stream: IO[str], put: Any) -> None:
    """Hand over line by line, and an empty text in the end."""
    with stream:
        for line in stream:
            put(line)
    put("")


@contextmanager
def watching(node: str, url: str, *, transport: str = "auto") -> Iterator[Watching]:
    """Run the client against a pool until the block ends."""
    environment = {
        **os.environ,
        "WATCH_URL": url.replace("://", f"://{USER}:{PASSWORD}@"),
        "WATCH_TRANSPORT": transport,
    }
    command = [node, "watch.mjs"]
    with subprocess.Popen(
        command,
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        client = Watching(process)
        try:
            yield client
        finally:
            client.end()
