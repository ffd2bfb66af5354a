"""A model of the columns a and b and the classes no and yes, small enough to be added often."""

from pathlib import Path

import numpy as np

from grpc_server.checks.add_model import add_model
from grpc_server.checks.added_version import Added
from grpc_server.store.repository import Repository

X = np.random.default_rng(0).random((60, 2))
Y = np.where(X[:, 0] > X[:, 1], "yes", "no")


def add_yes(repository: Repository, file: Path, golden: bytes = b"") -> Added:
    """Add a file of such a model, as `yes`."""
    return add_model(repository, file, "yes", ("a", "b"), golden)
