"""What can be wrong with a model before it is served.

SetupError
└── ModelError            a model cannot be served
    ├── ModelNotFound     the repository has no such model, or no version of it
    ├── ArtifactAltered   a file is missing, or its bytes are not those that were added
    ├── ModelUnloadable   the bytes are as added, but no model comes out of them
    └── ModelMismatch     the model and its contract disagree
"""

from contract.errors import SetupError


class ModelError(SetupError):
    """A model cannot be served."""


class ModelNotFound(ModelError):
    """The repository has no such model, or no version of it."""


class ArtifactAltered(ModelError):
    """A file is missing, or its bytes are not those that were added."""


class ModelUnloadable(ModelError):
    """The bytes are as added, but no model comes out of them."""


class ModelMismatch(ModelError):
    """The model and its contract, or its golden rows, disagree."""
