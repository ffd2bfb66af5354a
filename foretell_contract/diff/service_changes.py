"""Finds changes of the services and methods of a package."""

from collections.abc import Iterator
from typing import Any

from foretell_contract.contract import Contract
from foretell_contract.diff.finding import ContractChange, RuleAndText, added_or_removed
from foretell_contract.diff.message_changes import changes, deprecation
from foretell_contract.service import Method, Service

_RETRY_SAFETY = {"IDEMPOTENCY_UNKNOWN": 0, "IDEMPOTENT": 1, "NO_SIDE_EFFECTS": 2}


def services_changed(old: list[Service], new: list[Service], before: Contract, after: Contract) -> Iterator[ContractChange]:
    """Changes of the services of one package."""
    by_name = {service.full_name: service for service in new}
    yield from added_or_removed("service", [service.full_name for service in old], by_name)
    for service in old:
        if kept := by_name.get(service.full_name):
            was, now = (side.pool.FindServiceByName(service.full_name) for side in (before, after))
            yield from changes(service.full_name, deprecation(was, now))
            if kept.model != service.model:
                yield ContractChange("service.model", service.full_name, f"model {service.model} -> {kept.model}")
            yield from _methods_changed(service, kept, was, now)


def _methods_changed(old: Service, new: Service, was: Any, now: Any) -> Iterator[ContractChange]:
    by_name = {method.full_name: method for method in new.methods}
    yield from added_or_removed("method", [method.full_name for method in old.methods], by_name)
    for method in old.methods:
        if kept := by_name.get(method.full_name):
            options = _options_changed(was.methods_by_name[method.name], now.methods_by_name[method.name])
            yield from changes(kept.full_name, (*_method_changed(method, kept), *options))


def _method_changed(old: Method, new: Method) -> Iterator[RuleAndText]:
    same_shape = old.shape is new.shape
    for rule, was, now in (("input", old.input, new.input), ("output", old.output, new.output)):
        if same_shape and was.full_name != now.full_name:
            what = "request" if rule == "input" else "response"
            yield f"method.{rule}", f"{what} {was.full_name} -> {now.full_name}"
    if not same_shape:
        yield "method.shape", f"shape {old.shape.value} -> {new.shape.value}"
    for path in old.paths:
        if path not in new.paths:
            yield "method.path.removed", f"REST path {path} removed"
    for path in new.paths:
        if path not in old.paths:
            yield "method.path.added", f"REST path {path} added"


def _options_changed(old: Any, new: Any) -> Iterator[RuleAndText]:
    yield from deprecation(old, new)
    was, now = (_idempotency(method) for method in (old, new))
    if was != now:
        rule = "stronger" if _RETRY_SAFETY[now] > _RETRY_SAFETY[was] else "weaker"
        yield f"method.idempotency.{rule}", f"idempotency_level {was} -> {now}"


def _idempotency(method: Any) -> str:
    options = method.GetOptions()
    return str(options.DESCRIPTOR.fields_by_name["idempotency_level"].enum_type.values_by_number[options.idempotency_level].name)
