"""`routes.json`: which version of a model answers under which name, and how that came to be."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from grpc_server.errors import ChangeRefused

PRODUCTION = "production"
"""The alias that answers calls which choose nothing."""

MOST_CHANGES = 256
"""Changes that a record remembers: the last ones. How far `rollback` can go back."""

VERSION = r"[1-9][0-9]{0,17}"
ALIAS = r"[a-z0-9][a-z0-9._-]{0,63}"

Version: TypeAlias = Annotated[str, Field(pattern=f"^{VERSION}$")]
Alias: TypeAlias = Annotated[str, Field(pattern=f"^{ALIAS}$")]
Verb: TypeAlias = Literal["promote", "rollback", "retire", "canary", "shadow"]


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes a record, and why."""

    who: str
    why: str
    when: datetime


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class HistoryEntry(_Record):
    """One step of the history."""

    generation: int = Field(ge=1)
    """The generation that it made."""
    when: datetime
    who: str
    """User of the operating system."""
    why: str
    what: Verb
    alias: Alias | None = None
    """The alias that moved; None where none did."""
    before: Version | None = Field(default=None, alias="from")
    after: Version | None = Field(default=None, alias="to")
    share: float | None = Field(default=None, ge=0, le=1)
    """Of the calls, for a canary; 0 ends it."""


class Canary(_Record):
    """A version that answers a share of the calls that choose nothing."""

    version: Version
    share: float = Field(gt=0, le=1)


class Routes(_Record):
    """The record of one model. Each change makes the next generation; generation 0 is a model without a record."""

    generation: int = Field(default=0, ge=0)
    aliases: dict[Alias, Version] = {}
    """Without `production`, it is the newest version as a server starts, and stays that while it runs."""
    canary: Canary | None = None
    shadow: Version | None = None
    """A version that is asked what production was asked, and answers nobody."""
    retired: tuple[Version, ...] = ()
    """Versions that a rollback skips and no server keeps."""
    history: tuple[HistoryEntry, ...] = ()
    """The last changes, oldest first."""

    @model_validator(mode="after")
    def _linear(self) -> Self:
        first = self.generation - len(self.history) + 1
        if bool(self.generation) != bool(self.history) or [change.generation for change in self.history] != list(
            range(first, self.generation + 1)
        ):
            raise ValueError("the history does not lead to the generation step by step")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The versions that answer, production first."""
        production = self.aliases.get(PRODUCTION)
        others = [*self.aliases.values(), self.canary and self.canary.version]
        return tuple(dict.fromkeys(version for version in (production, *others) if version))

    def asked_for(self, version: str) -> int:
        """The generation that last asked for a version."""
        return max((change.generation for change in self.history if change.after == version), default=0)

    def is_return(self, version: str) -> bool:
        """Whether a rollback was the last that asked for a version."""
        return next((change.what == "rollback" for change in reversed(self.history) if change.after == version), False)

    def earlier(self, alias: str) -> tuple[str, ...]:
        """What `alias` named before, the last first, as far as it was neither retired nor rolled back from."""
        stack: list[str] = []
        for change in self.history:
            if change.alias != alias or change.after is None:
                continue
            if not stack and change.before:
                stack.append(change.before)
            if change.what == "rollback":
                while stack and stack[-1] != change.after:
                    stack.pop()
            if stack[-1:] != [change.after]:
                stack.append(change.after)
        present = self.aliases.get(alias)
        return tuple(dict.fromkeys(version for version in stack[::-1] if version not in (present, *self.retired)))

    def promote(self, version: str, alias: str, author: Author, before: str | None = None) -> "Routes":
        """With `alias` on `version`; `before` is what it stood for until now, where no record says.

        The version that it names already may be promoted again: servers that refused it try again. Raises ChangeRefused for what is
        no alias.
        """
        check_alias(alias)
        before = self.aliases.get(alias, before)
        changes: dict[str, Any] = {"aliases": self.aliases | {alias: version}, "retired": self._retired_but(version)}
        if alias == PRODUCTION:
            changes |= self._trials_beside(version)  # It has got what it was tried for.
        return self._next(author, "promote", alias=alias, before=before, after=version, changes=changes)

    def with_canary(self, version: str, share: float, author: Author) -> "Routes":
        """With `version` for a `share`, above 0 and up to 1, of the calls that choose nothing. Raises ChangeRefused for others."""
        if not 0 < share <= 1:
            raise ChangeRefused(f"a canary's share is above 0 % and at most 100 %, not {share:.4g}")
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: it answers all calls already")
        before = self.canary.version if self.canary else None
        changes = {"canary": Canary(version=version, share=share), "retired": self._retired_but(version)}
        return self._next(author, "canary", before=before, after=version, share=share, changes=changes)

    def without_canary(self, author: Author) -> "Routes":
        """With production for all calls. Raises ChangeRefused where there is no canary."""
        if self.canary is None:
            raise ChangeRefused("there is no canary to end")
        return self._next(author, "canary", before=self.canary.version, share=0, changes={"canary": None})

    def rollback(self, alias: str, author: Author) -> "Routes":
        """With `alias` where it was before; once more goes further back. Raises ChangeRefused where there is nothing before."""
        before, earlier = self.aliases.get(alias), self.earlier(alias)
        if before is None or not earlier:
            raise ChangeRefused(f"{alias} was never on another version that could serve again: there is nothing to go back to")
        changes = {"aliases": self.aliases | {alias: earlier[0]}}
        return self._next(author, "rollback", alias=alias, before=before, after=earlier[0], changes=changes)

    def retire(self, version: str, author: Author) -> "Routes":
        """Without `version`: no alias names it, no server keeps it. Raises ChangeRefused while it is production."""
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: promote another one first")
        if version in self.retired:
            raise ChangeRefused(f"version {version} is retired already")
        changes = {
            "aliases": {alias: named for alias, named in self.aliases.items() if named != version},
            "retired": (*self.retired, version),
        } | self._trials_beside(version)
        return self._next(author, "retire", before=version, changes=changes)

    def _trials_beside(self, version: str) -> dict[str, Any]:
        canary = None if self.canary and self.canary.version == version else self.canary
        return {"canary": canary, "shadow": None if self.shadow == version else self.shadow}

    def _retired_but(self, version: str) -> tuple[str, ...]:
        return tuple(retired for retired in self.retired if retired != version)

    def with_shadow(self, version: str, author: Author) -> "Routes":
        """With `version` asked what production was asked. Raises ChangeRefused where it is production."""
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: it would be compared with itself")
        changes = {"shadow": version, "retired": self._retired_but(version)}
        return self._next(author, "shadow", before=self.shadow, after=version, changes=changes)

    def without_shadow(self, author: Author) -> "Routes":
        """Without a shadow. Raises ChangeRefused where there is none."""
        if self.shadow is None:
            raise ChangeRefused("there is no shadow to end")
        return self._next(author, "shadow", before=self.shadow, changes={"shadow": None})

    def _next(
        self,
        author: Author,
        what: Verb,
        *,
        changes: dict[str, Any],
        alias: str | None = None,
        before: str | None = None,
        after: str | None = None,
        share: float | None = None,
    ) -> "Routes":
        generation = self.generation + 1
        step = {"generation": generation, "what": what, "alias": alias, "from": before, "to": after, "share": share}
        change = HistoryEntry.model_validate(step | {"who": author.who, "why": author.why, "when": author.when})
        history = (*self.history, change)[-MOST_CHANGES:]
        return Routes.model_validate(dict(self) | changes | {"generation": generation, "history": history})


def check_alias(alias: str) -> None:
    """Raises ChangeRefused for what is no name for an alias."""
    if not re.fullmatch(ALIAS, alias):
        raise ChangeRefused(f"{alias[:80]!r} is no name for an alias: lower-case letters, digits, '.', '_' and '-', at most 64")
