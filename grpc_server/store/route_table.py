"""The content of `routes.json`: which version each alias of a model names, its canary and shadow, and the last changes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foretell_lifecycle.platform import user_name
from grpc_server.errors import ChangeRefused

PRODUCTION = "production"
"""The alias that answers calls without a version or alias."""

MOST_CHANGES = 256
"""History entries in a route table, the newest ones. Limits how far `rollback` can go back."""

VERSION = r"[1-9][0-9]{0,17}"
ALIAS = r"[a-z0-9][a-z0-9._-]{0,63}"

Version: TypeAlias = Annotated[str, Field(pattern=f"^{VERSION}$")]
Alias: TypeAlias = Annotated[str, Field(pattern=f"^{ALIAS}$")]
Verb: TypeAlias = Literal["promote", "rollback", "retire", "canary", "shadow", "undo"]
"""`undo` takes back the change before, whose version the servers refused."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Author, reason and time of a route change."""

    author: str
    reason: str
    when: datetime

    @classmethod
    def now(cls, reason: str, author: str = "") -> Self:
        """Of a change made now, by the user of the process unless another `author` is given."""
        return cls(author or user_name(), reason, datetime.now(UTC))


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class HistoryEntry(_Document):
    """One route change. Its attributes have the names of the file's keys, except `before` and `after`, which are keywords there."""

    generation: int = Field(ge=1)
    when: datetime
    who: str
    """A user of the operating system, or a name given to the control service."""
    why: str
    what: Verb
    alias: Alias | None = None
    before: Version | None = Field(default=None, alias="from")
    after: Version | None = Field(default=None, alias="to")
    share: float | None = Field(default=None, ge=0, le=1)
    """Share of a canary, from 0 to 1; 0 ends it."""


class Canary(_Document):
    """A version that answers a share of the calls without a version or alias."""

    version: Version
    share: float = Field(gt=0, le=1)


class RouteTable(_Document):
    """The route table of one model. Each change returns the next generation; generation 0 is a model without `routes.json`."""

    generation: int = Field(default=0, ge=0)
    aliases: dict[Alias, Version] = {}
    """Without `production`, a server records the version that it answers with."""
    canary: Canary | None = None
    shadow: Version | None = None
    """A version that gets copies of production's calls; its answers are compared and dropped."""
    retired: tuple[Version, ...] = ()
    """Versions that rollbacks skip and servers unload."""
    history: tuple[HistoryEntry, ...] = ()
    """The last changes, oldest first."""

    @model_validator(mode="after")
    def _check_history(self) -> Self:
        expected = list(range(self.generation - len(self.history) + 1, self.generation + 1))
        if bool(self.generation) != bool(self.history) or [change.generation for change in self.history] != expected:
            raise ValueError("the generations of the history are not consecutive up to the present one")
        return self

    @property
    def serving_versions(self) -> tuple[str, ...]:
        """Versions that an alias or the canary names, production first."""
        production = self.aliases.get(PRODUCTION)
        others = [*self.aliases.values(), self.canary and self.canary.version]
        return tuple(dict.fromkeys(version for version in (production, *others) if version))

    def last_named_in(self, version: str) -> int:
        """The last generation whose change named `version`; 0 if none did."""
        return max((change.generation for change in self.history if change.after == version), default=0)

    def was_rolled_back_to(self, version: str) -> bool:
        """Whether the last change that named `version` went back to it."""
        return next((change.what in ("rollback", "undo") for change in reversed(self.history) if change.after == version), False)

    def rollback_targets(self, alias: str) -> tuple[str, ...]:
        """Versions that answered for `alias` before, the latest first, without those retired, rolled back from or refused."""
        stack: list[str] = []
        for change in self.history:
            if change.alias != alias:
                continue
            if change.what == "undo":
                del stack[-1:]  # The version never answered, or answers no longer.
            elif change.what == "rollback" and change.after in stack:
                _pop_to(change.after, stack)
            elif change.before:
                _pop_to(change.before, stack)  # Promotions that no server followed are above it.
            if change.after and stack[-1:] != [change.after]:
                stack.append(change.after)
        present = self.aliases.get(alias)
        return tuple(dict.fromkeys(version for version in stack[::-1] if version not in (present, *self.retired)))

    def promote(self, version: str, alias: str, author: Attribution, answering: str | None = None) -> "RouteTable":
        """Points `alias` at `version`; `answering` is the version that really answers for it, if that is known.

        Promoting the same version again makes servers that refused it try it again. Raises ChangeRefused for an invalid alias.
        """
        if not re.fullmatch(ALIAS, alias):
            raise ChangeRefused(f"{alias[:80]!r} is no alias: write at most 64 lower-case letters, digits, '.', '_' and '-'")
        before = self.aliases.get(alias, answering)
        if answering in self.rollback_targets(alias):
            before = answering  # No server followed the promotions since.
        return self._next(author, "promote", alias=alias, before=before, after=version, changes=self._pointing(alias, version))

    def with_canary(self, version: str, share: float, author: Attribution) -> "RouteTable":
        """Gives `version` a `share` of the calls, from above 0 to 1. Raises ChangeRefused for other shares, and for production."""
        if not 0 < share <= 1:
            raise ChangeRefused(f"{percent(share)} is no share for a canary: write one above 0 % and up to 100 %")
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: it answers all calls already")
        before = self.canary.version if self.canary else None
        changes = {"canary": Canary(version=version, share=share)}
        return self._next(author, "canary", before=before, after=version, share=share, changes=changes)

    def without_canary(self, author: Attribution) -> "RouteTable":
        """Ends the canary. Raises ChangeRefused if there is none."""
        if self.canary is None:
            raise ChangeRefused("there is no canary to end")
        return self._next(author, "canary", before=self.canary.version, share=0, changes={"canary": None})

    def rollback(self, alias: str, author: Attribution) -> "RouteTable":
        """Points `alias` at the version before; a second rollback goes one further back. Raises ChangeRefused if there is none."""
        targets = self.rollback_targets(alias)
        if alias not in self.aliases or not targets:
            raise ChangeRefused(f"{alias} has no earlier version to roll back to: promote one instead")
        return self.fall_back(alias, targets[0], author)

    def fall_back(self, alias: str, version: str, author: Attribution) -> "RouteTable":
        """Points `alias` at a version that answered before, because its present one cannot be served."""
        before, changes = self.aliases.get(alias), self._pointing(alias, version)
        return self._next(author, "rollback", alias=alias, before=before, after=version, changes=changes)

    def undo(self, earlier: "RouteTable", author: Attribution) -> "RouteTable":
        """Routes calls as `earlier` did, the table before the last change."""
        last = self.history[-1]
        after = earlier.aliases.get(last.alias) if last.alias else last.before
        changes = {name: getattr(earlier, name) for name in ("aliases", "canary", "shadow", "retired")}
        return self._next(author, "undo", alias=last.alias, before=last.after, after=after, changes=changes)

    def retire(self, version: str, author: Attribution) -> "RouteTable":
        """Removes `version` from all aliases, the canary and the shadow. Raises ChangeRefused while it is production."""
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: promote another one first")
        if version in self.retired:
            raise ChangeRefused(f"version {version} is retired already")
        changes = {
            "aliases": {alias: named for alias, named in self.aliases.items() if named != version},
            "retired": (*self.retired, version),
        } | self._canary_and_shadow_without(version)
        return self._next(author, "retire", before=version, changes=changes)

    def _pointing(self, alias: str, version: str) -> dict[str, Any]:
        without = self._canary_and_shadow_without(version) if alias == PRODUCTION else {}  # Production needs no trial.
        return {"aliases": self.aliases | {alias: version}} | without

    def _canary_and_shadow_without(self, version: str) -> dict[str, Any]:
        canary = None if self.canary and self.canary.version == version else self.canary
        return {"canary": canary, "shadow": None if self.shadow == version else self.shadow}

    def with_shadow(self, version: str, author: Attribution) -> "RouteTable":
        """Makes `version` the shadow. Raises ChangeRefused if it is production."""
        if self.aliases.get(PRODUCTION) == version:
            raise ChangeRefused(f"version {version} is {PRODUCTION}: it would be compared with itself")
        return self._next(author, "shadow", before=self.shadow, after=version, changes={"shadow": version})

    def without_shadow(self, author: Attribution) -> "RouteTable":
        """Ends the shadow. Raises ChangeRefused if there is none."""
        if self.shadow is None:
            raise ChangeRefused("there is no shadow to end")
        return self._next(author, "shadow", before=self.shadow, changes={"shadow": None})

    def _next(
        self,
        author: Attribution,
        what: Verb,
        *,
        changes: dict[str, Any],
        alias: str | None = None,
        before: str | None = None,
        after: str | None = None,
        share: float | None = None,
    ) -> "RouteTable":
        generation = self.generation + 1
        step = {"generation": generation, "what": what, "alias": alias, "from": before, "to": after, "share": share}
        change = HistoryEntry.model_validate(step | {"who": author.author, "why": author.reason, "when": author.when})
        history = (*self.history, change)[-MOST_CHANGES:]
        retired = tuple(retired for retired in self.retired if retired != after)
        changes = {"retired": retired} | changes | {"generation": generation, "history": history}
        return RouteTable.model_validate(dict(self) | changes)


def _pop_to(version: str, stack: list[str]) -> None:
    """Removes what is above `version`, which it adds if the stack lacks it."""
    if version not in stack:
        stack.append(version)
    while stack[-1] != version:
        stack.pop()


def percent(share: float) -> str:
    """A share from 0 to 1 for people, such as 5 %."""
    return f"{share * 100:.4g} %"
