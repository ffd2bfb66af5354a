"""The log of a shadow: read back as written, bounded in bytes for any number of writers, harmless if it cannot be written."""

import logging
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpc_server.errors import ModelError
from grpc_server.shadow.shadow_log import Compared, Failed, Head, Line, ShadowLog, read

HEAD = Head("1", "2", ("length", "kind"), ("label", "value"))
OTHER = Head("3", "2", ("length", "kind"), ("value",))


def compared(number: int, width: int = 1) -> Compared:
    """A call whose line grows with `width`."""
    features = [[float(number), "x" * width]]
    return Compared(1e9 + number, f"{number:08x}", [["a", 0.1]], [["b", 0.3]], 0.001, 0.002, features, number % 3)


def lines_in(folder: Path) -> list[Line]:
    return [line for _, _, line in read(folder)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def test_lines_are_read_with_head_and_writer(tmp_path: Path) -> None:
    logs = [ShadowLog(tmp_path / "deep", shadow, 10_000) for shadow in ("2", "2", "4")]
    for number, log in enumerate(logs):
        log.append(HEAD, compared(number))
        log.append(OTHER, Failed(2e9, "OVERLOADED", 5))
        log.flush()
        log.append(OTHER, compared(number + 10))
        log.flush()
    found = list(read(tmp_path / "deep"))
    assert [head for _, head, _ in found] == [HEAD, OTHER, OTHER] * 3
    assert [line for _, _, line in found][:3] == [compared(0), Failed(2e9, "OVERLOADED", 5), compared(10)]
    assert len({writer for writer, _, _ in found}) == 3
    assert list(read(tmp_path / "nowhere")) == []


@settings(max_examples=20, deadline=None)
@given(widths=st.lists(st.integers(0, 900), max_size=60), bound=st.integers(500, 8_000), writers=st.integers(1, 3))
def test_bound_keeps_the_last_lines(tmp_path_factory: pytest.TempPathFactory, widths: list[int], bound: int, writers: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    logs = [ShadowLog(folder, "2", bound) for _ in range(writers)]
    for number, width in enumerate(widths):
        log = logs[number % writers]
        log.append(HEAD, compared(number, width))
        log.flush()
        assert size_of(folder) <= max(bound, width + 600)
    for log in logs:
        log.flush()
    if widths:
        assert compared(len(widths) - 1, widths[-1]) in lines_in(folder)


def write_many(folder: Path, writer: int) -> None:
    log = ShadowLog(folder, "2", 20_000)
    for number in range(150):
        log.append(HEAD, compared(1000 * writer + number, 40))
        if number % 7 == 0:
            log.flush()
    log.flush()


def test_processes_share_the_bound(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert 10_000 < size_of(tmp_path) <= 20_000
    kept = lines_in(tmp_path)
    assert len({line.request_id for line in kept if isinstance(line, Compared)}) == len(kept) > 40


def test_broken_lines_are_skipped(tmp_path: Path) -> None:
    log = ShadowLog(tmp_path, "2", 100_000)
    for number in range(3):
        log.append(HEAD, compared(number))
    log.flush()
    (segment,) = tmp_path.glob("*.jsonl")
    head, first, second, third = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(head + first + b'{"line":"else"}\n' + second + third[:-5])
    assert lines_in(tmp_path) == [compared(0), compared(1)]


def test_unwritable_folder_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("")
    log = ShadowLog(tmp_path / "taken", "2", 10_000)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            log.append(HEAD, compared(number))
            log.flush()
            assert not log.pending
    assert [record.message for record in caplog.records] == [
        f"the shadow's answers are lost: cannot write to {tmp_path / 'taken'}: File exists"
    ]
    (tmp_path / "taken").unlink()
    log.append(HEAD, compared(3))
    log.flush()
    assert lines_in(tmp_path / "taken") == [compared(3)]


def test_bound_of_zero_writes_nothing(tmp_path: Path) -> None:
    log = ShadowLog(tmp_path / "none", "2", 0)
    log.append(HEAD, compared(1))
    log.flush()
    assert not (tmp_path / "none").exists()


def test_unreadable_segment_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}-2-abcdef01.jsonl").mkdir()
    with pytest.raises(ModelError, match=r"abcdef01\.jsonl cannot be read: Is a directory"):
        lines_in(tmp_path)
