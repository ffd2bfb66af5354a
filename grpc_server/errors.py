"""What can be wrong with a model before it is served.

SetupError
└── ModelError            a model cannot be served
    ├── ModelNotFound     the repository has no such model, or no version of it
    ├── ArtifactAltered   a file is missing, or its bytes are not those that were added
    ├── ModelUnloadable   the bytes are as added, but no model comes out of them
    ├── ModelMismatch     the model and its contract disagree
    ├── StateUnreadable   routes.json or followed.json is invalid
    ├── Unwritable        the repository cannot be written to, now
    ├── ChangeRefused     a route change is impossible
    └── GenerationConflict  the route table was changed meanwhile
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

from foretell_contract.errors import SetupError
from foretell_contract.problem import Problem, error

ADD_AGAIN = "add the model again"
"""What to do where a version is not what was added."""

_MOST = 8
"""Things that are wrong which a single line names."""

_MOST_CHARACTERS = 200
"""Characters of another library's exception that a message quotes."""


def exception_text(error: BaseException) -> str:
    """Type and message of an exception that a model or another library raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_MOST_CHARACTERS]}"


class ModelError(SetupError):
    """A model cannot be served."""

    gate: str = ""
    """The gate that a version did not pass; empty where it came to none."""
    usual_fix: ClassVar[str] = "train the model again where it is served, and add it again"
    """What to do where whoever refuses does not say it."""

    def __init__(self, reason: str, fix: str = "") -> None:
        """What is wrong, and what to do about it; the text says both."""
        super().__init__(f"{reason}: {fix}" if fix else reason)
        self.problems: tuple[Problem, ...] = (error("", reason, fix or self.usual_fix),)
        """Each thing that is wrong, with its place in the contract; without a name where it has none."""

    @property
    def reason(self) -> str:
        """All that is wrong, and not what to do about it."""
        return "; ".join(each.reason for each in self.problems)


class ModelNotFound(ModelError):
    """The repository has no such model, or no version of it."""


class ArtifactAltered(ModelError):
    """A file is missing, or its bytes are not those that were added."""


class ModelUnloadable(ModelError):
    """The bytes are as added, but no model comes out of them."""


class ModelMismatch(ModelError):
    """The model and its contract, or its golden rows, disagree."""

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Of everything that is wrong. The text tells what to do about a single thing; `foretell check` tells it of each."""
        problems = tuple(dict.fromkeys(problems))
        mismatch = cls(str(problems[0]) if len(problems) == 1 else _summary(problems))
        mismatch.problems = problems
        return mismatch


def _summary(problems: Sequence[Problem]) -> str:
    """What to do is told of what is no thing of a contract, for `foretell check` may not know of it."""
    told = "; ".join(each.reason if each.name else str(each) for each in problems[:_MOST])
    more = f"; and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
    return f"{told}{more}{' (foretell check says what to do)' if any(each.name for each in problems) else ''}"


class Mismatches:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What the block refuses is noted, and what follows it goes on."""
        try:
            yield
        except ModelError as refusal:
            self.found += refusal.problems

    def check(self) -> None:
        """Raises ModelMismatch if anything was noted."""
        if self.found:
            raise ModelMismatch.of(self.found)


def misfit(name: str, reason: str, fix: str) -> ModelMismatch:
    """A single thing of the contract, by its full name, that does not fit the model."""
    return ModelMismatch.of([error(name, reason, fix)])


class StateUnreadable(ModelError):
    """`routes.json` or `followed.json` is invalid or cannot be read."""


class Unwritable(ModelError):
    """The repository cannot be written to, now."""


class ChangeRefused(ModelError):
    """A route change is impossible."""


class GenerationConflict(ModelError):
    """The route table was changed meanwhile: it is at another generation than expected."""
