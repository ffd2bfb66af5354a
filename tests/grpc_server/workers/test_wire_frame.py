"""Frames arrive as they were sent, of any content and in any pieces."""

import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grpc_server.rows.mixed_rows import Matrix
from grpc_server.workers.wire_frame import receive, send

matrices = arrays(np.float64, st.tuples(st.integers(0, 20), st.integers(0, 5)))
texts = st.text(st.characters(exclude_categories=()))


@settings(deadline=None)
@given(st.lists(matrices | texts, max_size=5))
def test_frames_arrive_unchanged_in_order(frames: list[Matrix | str]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for frame in frames:
            send(ours, frame)
        for frame in frames:
            received = receive(theirs)
            if isinstance(frame, str):
                assert received == frame.encode(errors="backslashreplace").decode()
            else:
                assert isinstance(received, np.ndarray)
                assert (received.shape, received.tobytes()) == (frame.shape, frame.tobytes())


@pytest.mark.parametrize("turned", [False, True])
def test_matrix_may_exceed_any_buffer(turned: bool) -> None:
    matrix = np.random.default_rng(0).random((30, 10_000) if turned else (10_000, 30))
    matrix = matrix.T if turned else matrix
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(ours, matrix))
        sender.start()
        assert np.array_equal(receive(theirs), matrix)
        sender.join()


@pytest.mark.parametrize("frame", [np.ones((2, 2)), "why"])
@pytest.mark.parametrize("missing", [1, 4, 10_000])
def test_cut_frame_raises_eof(frame: Matrix | str, missing: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, frame)
        whole = theirs.recv(1000)
        ours.sendall(whole[:-missing])
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            receive(theirs)
