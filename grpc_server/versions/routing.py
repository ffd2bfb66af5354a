"""What answers the calls for one model: versions in memory, and the names under which each may be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from grpc_server.calls.call import ALIAS, ROUTING_KEY, VERSION, Call, Metadata
from grpc_server.calls.refusal import UnknownVersion, VersionLoading
from grpc_server.loading.version import Predict, Version
from grpc_server.shadow.shadow import Shadow
from grpc_server.store.route_table import PRODUCTION

_MOST_LISTED = 20
"""Names that a refusal lists at most."""


@dataclass(frozen=True, slots=True)
class RoutingTarget:
    """A version in a lineup."""

    version: Version
    generation: int
    """The generation of `routes.json` by which it stands here."""
    predict: Mapping[str, Predict] = field(init=False)
    facts: Metadata = field(init=False)
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
class CanarySplit:
    """The version that answers a share of the calls that choose nothing."""

    member: RoutingTarget
    share: float

    def takes(self, call: Call) -> bool:
        """Whether this call is in the share: by its routing key, always the same while the canary lasts, else by its request id."""
        version = self.member.version
        key = (call.choice or {}).get(ROUTING_KEY, call.request_id)
        drawn = blake2b(f"{version.name} {version.version} {key}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Who answers for one model. Never changes: another takes its place."""

    production: RoutingTarget
    aliases: Mapping[str, RoutingTarget]
    """Production among them."""
    versions: Mapping[str, RoutingTarget]
    """All that may be asked for: what an alias names, and what is kept warm."""
    loading: frozenset[str] = frozenset()
    """Aliases and versions that will answer soon."""
    canary: CanarySplit | None = None
    shadow: Shadow | None = None
    plain: bool = field(init=False)
    """Whether production answers every call that chooses nothing, and nobody else hears of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", self.canary is None and self.shadow is None)

    @classmethod
    def of(cls, version: Version, generation: int) -> "RoutingTable":
        """One version that answers everything."""
        member = RoutingTarget(version, generation)
        return cls(member, {PRODUCTION: member}, {version.version: member})

    def member(self, call: Call) -> RoutingTarget:
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

    def _found(self, kind: str, asked: str, members: Mapping[str, RoutingTarget]) -> RoutingTarget:
        found = members.get(asked)
        if found is not None:
            return found
        name = self.production.version.name
        if asked in self.loading:
            raise VersionLoading(f"{kind} {asked} of {name} is being loaded; retry")
        listed = ", ".join(list(members)[:_MOST_LISTED])
        raise UnknownVersion(f"no {kind} {asked[:64]!r} of {name} answers; there is {listed}", facts={f"model-{kind}": listed})
