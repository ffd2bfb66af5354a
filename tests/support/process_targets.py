"""Functions that model processes run in tests."""

import json
import os
import socket
import sys
import time

from threadpoolctl import threadpool_info


def wait(line: socket.socket) -> None:
    """Until the other end closes."""
    line.sendall(b"ready")
    line.recv(1)


def describe(line: socket.socket) -> None:
    """Send what a process begins with, as JSON."""
    facts = {
        "modules": sorted(sys.modules),
        "threads": [pool["num_threads"] for pool in threadpool_info()],
        "environment": os.environ["OMP_NUM_THREADS"],
        "inheritable": [fd for fd in range(3, 100) if is_open(fd) and os.get_inheritable(fd)],
    }
    line.sendall(json.dumps(facts).encode())


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def sleep(line: socket.socket) -> None:
    """For ever."""
    line.sendall(b"ready")
    time.sleep(10_000)
