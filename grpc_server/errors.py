"""What can be wrong with a model before it is served.

SetupError
└── ModelError            a model cannot be served
    ├── ModelNotFound     the repository has no such model, or no version of it
    ├── ArtifactAltered   a file is missing, or its bytes are not those that were added
    ├── ModelUnloadable   the bytes are as added, but no model comes out of them
    ├── ModelMismatch     the model and its contract disagree
    ├── RecordUnreadable  routes.json is no record
    ├── ChangeRefused     a change of routes.json that makes no sense
    └── GenerationMoved   somebody else has changed routes.json meanwhile
"""

from contract.errors import SetupError


class ModelError(SetupError):
    """A model cannot be served."""

    gate: str = ""
    """The gate that a version did not pass; empty where it came to none."""


class ModelNotFound(ModelError):
    """The repository has no such model, or no version of it."""


class ArtifactAltered(ModelError):
    """A file is missing, or its bytes are not those that were added."""


class ModelUnloadable(ModelError):
    """The bytes are as added, but no model comes out of them."""


class ModelMismatch(ModelError):
    """The model and its contract, or its golden rows, disagree."""


class RecordUnreadable(ModelError):
    """`routes.json` is no record."""


class ChangeRefused(ModelError):
    """A change of `routes.json` that makes no sense."""


class GenerationMoved(ModelError):
    """Somebody else has changed `routes.json` meanwhile."""
