"""Errors of models, versions and the repository."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

from foretell_contract.errors import SetupError
from foretell_contract.problem import Problem, error

ADD_AGAIN = "add the model again"

_MAX_NAMED = 8

_MOST_CHARACTERS = 200
"""Characters of another library's exception that a message quotes."""


def exception_text(error: BaseException) -> str:
    """Type and message of an exception that a model or another library raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_MOST_CHARACTERS]}"


class ModelError(SetupError):
    """A model cannot be served."""

    gate: str = ""
    """The gate that refused the version; empty if it reached none."""
    default_fix: ClassVar[str] = "train the model again where it is served, and add it again"

    def __init__(self, reason: str, fix: str = "") -> None:
        """`reason` is what is wrong, `fix` what to do; the text has both."""
        super().__init__(f"{reason}: {fix}" if fix else reason)
        self.problems: tuple[Problem, ...] = (error("", reason, fix or self.default_fix),)
        """All problems, each with the full name of its place in the contract; empty if it has none."""

    @property
    def reason(self) -> str:
        """What is wrong, without the fixes."""
        return "; ".join(each.reason for each in self.problems)


class ModelNotFound(ModelError):
    """The repository has no such model, or no version of it."""


class ArtifactAltered(ModelError):
    """A file of a version is missing or was changed after it was added."""


class ModelUnloadable(ModelError):
    """The artifact does not load."""


class ModelMismatch(ModelError):
    """The model does not match its contract or its golden rows."""

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """The error of several problems. Its text has the fix of a single one; `foretell check` prints the fix of each."""
        problems = tuple(dict.fromkeys(problems))
        mismatch = cls(str(problems[0]) if len(problems) == 1 else _summary(problems))
        mismatch.problems = problems
        return mismatch


def _summary(problems: Sequence[Problem]) -> str:
    """Reasons of the problems, with the fix for those outside the contract, which `foretell check` may not find."""
    listed = "; ".join(each.reason if each.name else str(each) for each in problems[:_MAX_NAMED])
    more = f"; and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
    return f"{listed}{more}{' (foretell check prints the fixes)' if any(each.name for each in problems) else ''}"


class Mismatches:
    """Collects the problems of several checks, to report them together."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collect the problems of a ModelError that the block raises, and go on after the block."""
        try:
            yield
        except ModelError as refusal:
            self.problems += refusal.problems

    def check(self) -> None:
        """Raise ModelMismatch if there are problems."""
        if self.problems:
            raise ModelMismatch.of(self.problems)


def field_mismatch(name: str, reason: str, fix: str) -> ModelMismatch:
    """The error of one element of the contract, given by its full name, that does not match the model."""
    return ModelMismatch.of([error(name, reason, fix)])


class StateUnreadable(ModelError):
    """`routes.json` or `followed.json` is invalid or cannot be read."""


class Unwritable(ModelError):
    """The repository cannot be written to."""


class ChangeRefused(ModelError):
    """A route change is impossible."""


class GenerationConflict(ModelError):
    """The route table was changed meanwhile: it is at another generation than expected."""
