"""A classifier for tests of workers: the first column of a row is an action, the second its probability of `no`."""

import itertools
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.store.manifest import GOLDEN, Manifest
from grpc_server.store.repository import Repository, sha256

LEAKED: list[bytes] = []


class Action(IntEnum):
    """What the model does for a row."""

    ANSWER = 0
    ANSWER_PID = 1
    ANSWER_THREADS = 2
    EXIT = 3
    HANG = 4
    RAISE = 5
    RAISE_SYSTEM_EXIT = 6
    RAISE_INTERRUPT = 7
    RAISE_MEMORY_ERROR = 8
    FLATTEN = 9
    LEAK = 10
    PRINT = 11
    WAIT = 12
    START_PROCESS = 13


class Misbehaving:
    """Answers, or does what the action of a row says."""

    classes_ = np.array(["no", "yes"])
    n_features_in_ = 2

    def __init__(self, fifo: str = "") -> None:
        """`fifo` is the path from which `WAIT` reads."""
        self.fifo = fifo

    def predict_proba(self, rows: Matrix) -> Matrix:
        answer = np.stack([rows[:, 1], 1 - rows[:, 1]], axis=1)
        for action in map(Action, rows[:, 0].astype(int).tolist()):
            answer = self.do(action, answer)
        return answer

    def do(self, action: Action, answer: Matrix) -> Matrix:
        match action:
            case Action.ANSWER_PID:
                return np.full_like(answer, os.getpid())
            case Action.ANSWER_THREADS:
                return np.full_like(answer, float(os.environ["OMP_NUM_THREADS"]))
            case Action.EXIT:
                os._exit(3)
            case Action.HANG:
                sum(itertools.repeat(0))  # It releases the GIL for no other thread, and for no signal handler.
            case Action.RAISE:
                raise ValueError("\udc80 no such flower")
            case Action.RAISE_SYSTEM_EXIT:
                sys.exit("enough")
            case Action.RAISE_INTERRUPT:
                raise KeyboardInterrupt
            case Action.RAISE_MEMORY_ERROR:
                raise MemoryError
            case Action.FLATTEN:
                return answer[:, 0]
            case Action.LEAK:
                LEAKED.append(b"x" * 40_000_000)
            case Action.PRINT:
                os.write(1, b"printed by a model\n")
            case Action.WAIT:
                Path(self.fifo).read_bytes()
            case Action.START_PROCESS:
                return np.full_like(answer, subprocess.Popen(["sleep", "600"]).pid)
        return answer


class CallsOnLoad:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, call: tuple[Any, tuple[Any, ...]]) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def until_gone(pid: int) -> None:
    """Wait for the end of a process, which need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 60)[0], f"process {pid} still runs"
    finally:
        os.close(descriptor)


def descendants(pid: int) -> Iterator[int]:
    """Ids of the children of a process, and of theirs."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # It ends meanwhile.
            for child in map(int, children.read_text().split()):
                yield child
                yield from descendants(child)


def rows(*actions: Action, value: float = 0.25) -> Matrix:
    return np.array([[action, value] for action in actions], dtype=np.float64)


def add(repository: Repository, model: object, golden: bytes = b"") -> str:
    """Add a model without checks; the digest of its artifact."""
    file = repository.root.parent / "model.joblib"
    joblib.dump(model, file)
    files = {"model.joblib": file.read_bytes()} | ({GOLDEN: golden} if golden else {})
    manifest = Manifest(
        format="joblib",
        artifact="model.joblib",
        files={name: sha256(data) for name, data in files.items()},
        libraries={},
        columns=("action", "value"),
        classes=("no", "yes"),
        created=datetime.now(UTC),
    )
    repository.add("wayward", manifest, files)
    return manifest.digest
