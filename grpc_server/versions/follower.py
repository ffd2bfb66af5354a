"""The thread that looks whether the records have changed."""

import logging
import threading
from collections.abc import Sequence

from grpc_server.versions.served_model import ServedModel

logger = logging.getLogger(__name__)

_EVERY = 0.1
"""Seconds between two looks. A look is a question to the file system, some 20 µs; it works where nothing notifies, as over NFS."""


class Follower:
    """Keeps the hosts of one server with their records, from `start` to `stop`."""

    def __init__(self, hosts: Sequence[ServedModel]) -> None:
        self._hosts = hosts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Look at once, before this returns, and from now on."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        for host in self._hosts:
            try:
                host.look()
            except Exception:  # One model must not keep the others from being followed.
                logger.exception("the record of %s is not followed", host.name)
