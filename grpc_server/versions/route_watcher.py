"""A thread that applies changed route tables to the served models."""

import logging
import threading
from collections.abc import Sequence

from grpc_server.versions.served_model import ServedModel

logger = logging.getLogger(__name__)

_INTERVAL = 0.1
"""Seconds between two checks. A check is one `stat` a model, some 20 µs; unlike inotify it works over NFS."""


class RouteWatcher:
    """Refreshes the served models of one server, from `start` to `stop`."""

    def __init__(self, served_models: Sequence[ServedModel]) -> None:
        self._served_models = served_models
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="route-watcher", daemon=True)

    def start(self) -> None:
        """Refreshes all models before it returns, and keeps refreshing them in a thread."""
        self._refresh()
        self._thread.start()

    def stop(self) -> None:
        """Blocks until the thread has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self._refresh()

    def _refresh(self) -> None:
        for served in self._served_models:
            try:
                served.refresh()
            except Exception:  # A failure of one model leaves the others followed.
                logger.exception("cannot follow the route table of %s", served.name)
