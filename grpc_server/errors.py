"""What can be wrong with a model before it is served.

SetupError
└── ModelError            a model cannot be served
    ├── ModelNotFound     the repository has no such model, or no version of it
    ├── ArtifactAltered   a file is missing, or its bytes are not those that were added
    ├── ModelUnloadable   the bytes are as added, but no model comes out of them
    ├── ModelMismatch     the model and its contract disagree
    ├── RecordUnreadable  routes.json is no record
    ├── Unwritable        the repository cannot be written to, now
    ├── ChangeRefused     a change of routes.json that makes no sense
    └── GenerationMoved   somebody else has changed routes.json meanwhile
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from contract.errors import SetupError
from contract.problem import Problem, error


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

    def __init__(self, text: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)
        """Each thing that is wrong, with its place in the contract; empty where the text is all there is to say."""

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Of everything that is wrong. The text tells what to do where it is a single thing; `foretell check` tells it of each."""
        problems = tuple(dict.fromkeys(problems))
        one = str(problems[0]) if len(problems) == 1 else ""
        return cls(one or f"{'; '.join(each.reason for each in problems)} (foretell check says what to do)", problems)


class Mismatches:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What the block refuses is noted, and what follows it goes on."""
        try:
            yield
        except ModelMismatch as mismatch:
            self.found += mismatch.problems

    def check(self) -> None:
        """Raises ModelMismatch if anything was noted."""
        if self.found:
            raise ModelMismatch.of(self.found)


def misfit(name: str, reason: str, fix: str) -> ModelMismatch:
    """A single thing of the contract, by its full name, that does not fit the model."""
    return ModelMismatch.of([error(name, reason, fix)])


class RecordUnreadable(ModelError):
    """`routes.json` is no record."""


class Unwritable(ModelError):
    """The repository cannot be written to, now."""


class ChangeRefused(ModelError):
    """A change of `routes.json` that makes no sense."""


class GenerationMoved(ModelError):
    """Somebody else has changed `routes.json` meanwhile."""
