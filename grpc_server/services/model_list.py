"""ModelService: the models that a server hosts, with their routes, rollouts and shadows."""

import math
from collections.abc import Mapping
from typing import Any

from foretell_contract.contract import MODEL_SERVICE
from grpc_server.calls.handler import Handler, Kind, immediate
from grpc_server.errors import ModelError
from grpc_server.loading.version import Version
from grpc_server.shadow.shadow import Shadow
from grpc_server.store.manifest import Manifest
from grpc_server.store.route_table import PRODUCTION
from grpc_server.versions.registry import Registry
from grpc_server.versions.routing import Routing
from grpc_server.versions.served_model import ServedModel


def list_models_handler(registry: Registry) -> Handler:
    """The handler of ListModels, with messages of the contract's descriptor pool."""
    request_type = registry.contract.message("foretell.v1.ListModelsRequest")
    response_type = registry.contract.message("foretell.v1.ListModelsResponse")

    def list_models(_request: Any) -> Any:
        response = response_type()
        for served in registry.served_models:
            _add_served_model(response, served)
        return response

    return Handler(f"/{MODEL_SERVICE}/ListModels", Kind.UNARY, immediate(request_type, list_models))


def describe(response: Any, name: str, version: str, manifest: Manifest) -> Any:
    """Add the repository's record of a version to a ListModelsResponse; the added message."""
    listed = response.models.add(
        name=name,
        version=version,
        format=manifest.format,
        digest=manifest.digest,
        columns=manifest.columns,
        classes=manifest.classes,
    )
    listed.created.FromDatetime(manifest.created)
    listed.source = manifest.source.address if manifest.source else ""
    return listed


def aliases_of(version: str, aliases: Mapping[str, str]) -> list[str]:
    """The aliases of a version, production first."""
    return sorted((alias for alias, named in aliases.items() if named == version), key=lambda alias: (alias != PRODUCTION, alias))


def _add_served_model(response: Any, served: ServedModel) -> None:
    with served.lock:
        routing = served.routing
        following = response.following.add()
        _describe_routes(following, served)
    if routing.shadow is not None:
        describe_shadow(following.shadow, routing.shadow)
    _describe_alias_sync(following, served)
    _add_versions(response, routing)


def _add_versions(response: Any, routing: Routing) -> None:
    aliases = {alias: target.version.version for alias, target in routing.aliases.items()}
    targets = (*routing.versions.values(), *routing.aliases.values())
    generations = {target.version.version: target.generation for target in targets}
    for version in sorted(routing.versions, key=lambda version: (PRODUCTION not in aliases_of(version, aliases), int(version))):
        listed = _add_version(response, routing.versions[version].version)
        listed.aliases.extend(aliases_of(version, aliases))
        listed.generation = generations[version]
        if routing.canary is not None and routing.canary.target.version.version == version:
            listed.canary_share = routing.canary.share


def _add_version(response: Any, version: Version) -> Any:
    first = version.models[0]
    listed = describe(response, version.name, version.version, first.manifest)
    listed.services.extend(model.service.full_name for model in version.models)
    listed.placement = f"PLACEMENT_{first.placement.name}"
    listed.workers = sum(model.workers for model in version.models)
    for field, seconds in (("one_row_seconds", first.cost.one_row), ("batch_seconds", first.cost.batch)):
        if math.isfinite(seconds):
            setattr(listed.cost, field, seconds)
    return listed


def _describe_routes(following: Any, served: ServedModel) -> None:
    following.name = served.name
    following.generation = served.routes.generation
    following.trouble = served.read_error
    rollout, refused = served.rollout, served.last_refusal
    if rollout is not None:
        following.loading = rollout.version
        following.gate = rollout.gate or ""
    if refused is not None:
        for field in ("version", "gate", "reason", "generation"):
            setattr(following.refused, field, getattr(refused, field))
        following.refused.refused.FromDatetime(refused.when)


def _describe_alias_sync(following: Any, served: ServedModel) -> None:
    try:
        followed = served.alias_sync.read()
    except ModelError as error:
        following.trouble = following.trouble or str(error)
        return
    if followed is not None:
        described = following.followed
        described.address, described.source = followed.address, followed.source.address
        described.version, described.reason = followed.version or "", followed.reason
        described.done.FromDatetime(followed.when)


def describe_shadow(described: Any, shadow: Shadow) -> None:
    """Fills a foretell.v1.Shadow."""
    comparison = shadow.comparison
    described.version = shadow.version.version
    for field in ("compared", "agreeing", "labelled", "largest_shift", "failed", "left_out"):
        setattr(described, field, getattr(comparison, field))
    described.mean_shift = comparison.total_shift / max(1, comparison.compared)
    described.mean_seconds = comparison.seconds / max(1, comparison.answered)
