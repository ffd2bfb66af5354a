"""A classifier that worker processes load in tests: the first column of a row says what it does, the second is its answer."""

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

HOARD: list[bytes] = []


class Deed(IntEnum):
    """What a row may ask for."""

    ANSWER = 0
    SAY_PID = 1
    SAY_THREADS = 2
    EXIT = 3
    HANG = 4
    RAISE = 5
    RAISE_SYSTEM_EXIT = 6
    RAISE_INTERRUPT = 7
    RAISE_MEMORY_ERROR = 8
    FLATTEN = 9
    HOARD = 10
    PRINT = 11
    WAIT = 12
    START_PROCESS = 13


class Wayward:
    """Answers, or does something else."""

    classes_ = np.array(["no", "yes"])
    n_features_in_ = 2

    def __init__(self, fifo: str = "") -> None:
        """`fifo` is the path from which `WAIT` reads."""
        self.fifo = fifo

    def predict_proba(self, rows: Matrix) -> Matrix:
        answer = np.stack([rows[:, 1], 1 - rows[:, 1]], axis=1)
        for deed in map(Deed, rows[:, 0].astype(int).tolist()):
            answer = self.do(deed, answer)
        return answer

    def do(self, deed: Deed, answer: Matrix) -> Matrix:
        match deed:
            case Deed.SAY_PID:
                return np.full_like(answer, os.getpid())
            case Deed.SAY_THREADS:
                return np.full_like(answer, float(os.environ["OMP_NUM_THREADS"]))
            case Deed.EXIT:
                os._exit(3)
            case Deed.HANG:
                sum(itertools.repeat(0))  # Without letting another thread run, nor a signal handler of Python's.
            case Deed.RAISE:
                raise ValueError("\udc80 no such flower")
            case Deed.RAISE_SYSTEM_EXIT:
                sys.exit("enough")
            case Deed.RAISE_INTERRUPT:
                raise KeyboardInterrupt
            case Deed.RAISE_MEMORY_ERROR:
                raise MemoryError
            case Deed.FLATTEN:
                return answer[:, 0]
            case Deed.HOARD:
                HOARD.append(b"x" * 40_000_000)
            case Deed.PRINT:
                os.write(1, b"printed by a model\n")
            case Deed.WAIT:
                Path(self.fifo).read_bytes()
            case Deed.START_PROCESS:
                return np.full_like(answer, subprocess.Popen(["sleep", "600"]).pid)
        return answer


class Explosive:
    """Has whoever unpickles it call a function."""

    def __init__(self, call: tuple[Any, tuple[Any, ...]]) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def until_gone(pid: int) -> None:
    """Wait for the end of a process that need not be our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 60)[0], f"process {pid} still runs"
    finally:
        os.close(descriptor)


def descendants(pid: int) -> Iterator[int]:
    """The processes that it has started, and those that they have."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # It ends meanwhile.
            for child in map(int, children.read_text().split()):
                yield child
                yield from descendants(child)


def rows(*deeds: Deed, value: float = 0.25) -> Matrix:
    return np.array([[deed, value] for deed in deeds], dtype=np.float64)


def add(repository: Repository, model: object, golden: bytes = b"") -> str:
    """Add without a look at it; the digest of the artifact."""
    file = repository.root.parent / "model.joblib"
    joblib.dump(model, file)
    files = {"model.joblib": file.read_bytes()} | ({GOLDEN: golden} if golden else {})
    manifest = Manifest(
        format="joblib",
        artifact="model.joblib",
        files={name: sha256(data) for name, data in files.items()},
        libraries={},
        columns=("deed", "value"),
        classes=("no", "yes"),
        created=datetime.now(UTC),
    )
    repository.add("wayward", manifest, files)
    return manifest.digest
