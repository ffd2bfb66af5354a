"""Which loaded version answers a call for one model: by version, by alias, or by a canary's share."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from grpc_server.calls.call import ALIAS, ROUTING_KEY, VERSION, Call, Metadata
from grpc_server.calls.refusal import UnknownVersion, VersionLoading
from grpc_server.loading.version import Version
from grpc_server.shadow.shadow import Shadow
from grpc_server.store.route_table import PRODUCTION

_MOST_LISTED = 20
"""Names that a refusal lists at most."""


class RoutingTarget:
    """A loaded version, the generation of the route table that routes calls to it, and the metadata of its replies."""

    def __init__(self, version: Version, generation: int) -> None:
        self.version = version
        self.generation = generation
        facts = ("model-name", version.name), ("model-version", version.version), ("model-generation", str(generation))
        self.facts: Metadata = facts if version.version else facts[:1]


@dataclass(frozen=True, slots=True)
class CanarySplit:
    """Sends a share of the calls without a version or alias to a canary."""

    target: RoutingTarget
    share: float
    """From 0 to 1."""

    def takes(self, call: Call) -> bool:
        """Whether the canary answers the call. Calls with one routing key get the same result; others are split by request id."""
        version = self.target.version
        key = (call.choice or {}).get(ROUTING_KEY, call.request_id)
        drawn = blake2b(f"{version.name} {version.version} {key}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass(frozen=True, slots=True)
class Routing:
    """A route table applied to the versions in memory. Immutable: a change replaces it, so that a call reads it once."""

    production: RoutingTarget
    aliases: Mapping[str, RoutingTarget]
    """With production."""
    versions: Mapping[str, RoutingTarget]
    """All versions that a call can select: those with an alias and those kept warm."""
    loading: frozenset[str] = frozenset()
    """Aliases and versions on their way through the gates."""
    canary: CanarySplit | None = None
    shadow: Shadow | None = None

    @classmethod
    def single(cls, version: Version, generation: int) -> "Routing":
        """All calls go to one version."""
        target = RoutingTarget(version, generation)
        return cls(target, {PRODUCTION: target}, {version.version: target} if version.version else {})

    def target_of(self, call: Call) -> RoutingTarget:
        """The version that answers a call. Raises UnknownVersion, also if alias and version disagree, or VersionLoading."""
        choice = call.choice or {}
        version, alias = choice.get(VERSION), choice.get(ALIAS)
        if version is None and alias is None:
            return self.canary.target if self.canary is not None and self.canary.takes(call) else self.production
        if alias is None:
            return self._find("version", str(version), self.versions)
        target = self._find("alias", alias, self.aliases)
        if version not in (None, target.version.version):
            raise UnknownVersion(
                f"alias {alias} of {target.version.name} is version {target.version.version}, not {str(version)[:64]}: send one"
            )
        return target

    def _find(self, kind: str, name: str, targets: Mapping[str, RoutingTarget]) -> RoutingTarget:
        found = targets.get(name)
        if found is not None:
            return found
        model = self.production.version.name
        if name in self.loading:
            raise VersionLoading(f"{kind} {name} of {model} is being loaded; retry")
        listed = ", ".join(list(targets)[:_MOST_LISTED]) or "none"
        raise UnknownVersion(f"no {kind} {name[:64]!r} of {model} answers; there is {listed}", facts={f"model-{kind}": listed})
