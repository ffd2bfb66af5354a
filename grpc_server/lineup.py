"""What answers the calls for one model: versions in memory, and the names under which each may be asked for."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

from contract.rules import Rules
from grpc_server.admission import Admission
from grpc_server.batcher import Job
from grpc_server.call import ALIAS, ROUTING_KEY, VERSION, Call, Facts
from grpc_server.handler import Reply
from grpc_server.model import Model
from grpc_server.predictor import Predictor, Seen
from grpc_server.refusal import UnknownVersion, VersionLoading
from grpc_server.routes import PRODUCTION


class Predict(Protocol):
    """How a version answers calls of one method."""

    def __call__(self, request: bytes, call: Call, reply: Reply, seen: Seen | None = None) -> Job | None:
        """See Predictor.predict."""


_MOST_LISTED = 20
"""Names that a refusal lists at most."""


class Version:
    """One version of a model in memory, with all the services that it answers."""

    def __init__(self, models: list[Model], rules: Rules, admission: Admission) -> None:
        self.models = models
        self.name, self.version = models[0].name, models[0].version
        self.predict: dict[str, Predict] = {
            method.path: Predictor(model.bindings[method.name], model, rules, admission).predict
            for model in models
            for method in model.service.methods
        }
        """By the path of the method."""
        self._streams: set[int] = set()
        self._closing = False
        self._changed = threading.Condition()

    @property
    def inline(self) -> bool:
        """Whether all its runs are made where calls are taken in."""
        return all(model.batcher.inline for model in self.models)

    def pin(self, call: Call) -> bool:
        """Stay until the call is over. False where it is too late."""
        with self._changed:
            if self._closing:
                return False
            self._streams.add(id(call))
            return True

    def unpin(self, call: Call) -> None:
        """The call is over."""
        with self._changed:
            self._streams.discard(id(call))
            self._changed.notify_all()

    def close(self, seconds: float, *, for_streams: bool) -> None:
        """Answer what is queued and end threads and workers, each within `seconds`; with `for_streams`, wait for these first."""
        with self._changed:
            self._changed.wait_for(lambda: not (for_streams and self._streams))
            self._closing = True
        for model in self.models:
            model.close(seconds)


@dataclass(frozen=True, slots=True)
class Member:
    """A version in a lineup."""

    version: Version
    generation: int
    """The generation of `routes.json` by which it stands here."""
    predict: Mapping[str, Predict] = field(init=False)
    facts: Facts = field(init=False)
    """What its answers are labelled with."""

    def __post_init__(self) -> None:
        version = self.version
        facts = (("model-name", version.name), ("model-version", version.version), ("model-generation", str(self.generation)))
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "predict", version.predict)

    def unpin(self, call: Call) -> None:
        """See Version."""
        self.version.unpin(call)


@dataclass(frozen=True, slots=True)
class Draw:
    """The version that answers a share of the calls that choose nothing."""

    member: Member
    share: float

    def takes(self, call: Call) -> bool:
        """Whether this call is in the share: by its routing key, always the same while the canary lasts, else by its request id."""
        version = self.member.version
        key = (call.choice or {}).get(ROUTING_KEY, call.request_id)
        drawn = blake2b(f"{version.name} {version.version} {key}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass(slots=True)
class Comparison:
    """How the answers of a shadow compare with those of production."""

    compared: int = 0
    """Rows."""
    agreeing: int = 0
    """Rows with the same labels; where a model gives none, the likeliest class is taken for it."""
    largest_shift: float = 0.0
    """Largest difference of a number, such as a probability."""
    total_shift: float = 0.0
    """Sum over the rows of the largest difference in each."""
    seconds: float = 0.0
    """Time that the shadow took for its answers."""
    answered: int = 0
    """Calls."""
    failed: int = 0
    """Calls that production answered and the shadow refused."""
    left_out: int = 0
    """Calls that came while too many waited."""


class Shadow(Protocol):
    """A version that is asked what production was asked."""

    comparison: Comparison

    @property
    def version(self) -> Version:
        """The version."""

    def watch(self, path: str, request: bytes, call: Call, production: Version) -> Seen | None:
        """Has the shadow asked the same once `production` has answered the call, unless it has enough to do."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """Who answers for one model. Never changes: another takes its place."""

    production: Member
    aliases: Mapping[str, Member]
    """Production among them."""
    versions: Mapping[str, Member]
    """All that may be asked for: what an alias names, and what is kept warm."""
    loading: frozenset[str] = frozenset()
    """Aliases and versions that will answer soon."""
    canary: Draw | None = None
    shadow: Shadow | None = None
    plain: bool = field(init=False)
    """Whether production answers every call that chooses nothing, and nobody else hears of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", self.canary is None and self.shadow is None)

    @classmethod
    def of(cls, version: Version, generation: int) -> "Lineup":
        """One version that answers everything."""
        member = Member(version, generation)
        return cls(member, {PRODUCTION: member}, {version.version: member})

    def member(self, call: Call) -> Member:
        """Who answers a call; where it names an alias and a version, both must agree. Raises UnknownVersion or VersionLoading."""
        choice = call.choice or {}
        version, alias = choice.get(VERSION), choice.get(ALIAS)
        if version is None and alias is None:
            return self.canary.member if self.canary is not None and self.canary.takes(call) else self.production
        if alias is None:
            return self._found("version", str(version), self.versions)
        member = self._found("alias", alias, self.aliases)
        if version not in (None, member.version.version):
            raise UnknownVersion(
                f"alias {alias} of {member.version.name} is version {member.version.version}, not the one asked for"
            )
        return member

    def _found(self, kind: str, asked: str, members: Mapping[str, Member]) -> Member:
        found = members.get(asked)
        if found is not None:
            return found
        name = self.production.version.name
        if asked in self.loading:
            raise VersionLoading(f"{kind} {asked} of {name} is being loaded; retry")
        listed = ", ".join(list(members)[:_MOST_LISTED])
        raise UnknownVersion(f"no {kind} {asked[:64]!r} of {name} answers; there is {listed}", facts={f"model-{kind}": listed})
