"""Finds what stops a start: colliding REST paths, rules that do not compile, examples that break rules."""

from collections.abc import Iterator, Sequence

from google.protobuf.descriptor import Descriptor

from foretell_contract.errors import ContractError
from foretell_contract.examples.example import example, failing_examples
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import Rules
from foretell_contract.rules.uncompilable_rules import uncompilable
from foretell_contract.service import Method, Service

_FIX = "change the example or the rule"


def defects(services: Sequence[Service], rules: Rules) -> Iterator[Problem]:
    """All defects of the services. Examples are checked once all rules compile, whole messages once each example is valid."""
    methods = [method for service in services for method in service.methods]
    yield from _collisions(methods)
    messages = {side.full_name: side for method in methods for side in (method.input, method.output)}
    rows = {row.full_name: row for method in methods for row in (method.features, method.answer)}
    found = list(dict.fromkeys(problem for message in messages.values() for problem in uncompilable(message, rules)))
    found = found or [problem for row in rows.values() for problem in _invalid_examples(row, rules)]
    yield from found or dict.fromkeys(problem for message in messages.values() for problem in _invalid_message(message, rules))


def _collisions(methods: Sequence[Method]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for method in methods:
        for path in method.paths:
            owner = owners.setdefault(path, method.full_name)
            if owner != method.full_name:
                reason = f"the REST path {path} belongs to both {owner} and {method.full_name}"
                yield error(method.full_name, reason, "give one of them another path in google.api.http")


def _invalid_examples(row: Descriptor, rules: Rules) -> Iterator[Problem]:
    try:
        for name, reason in failing_examples(row, rules):
            yield error(name, reason, _FIX)
    except ContractError as invalid:
        yield error(row.full_name, str(invalid), _FIX)


def _invalid_message(message: Descriptor, rules: Rules) -> Iterator[Problem]:
    """Examples that are valid one by one, but break a rule of the message together."""
    try:
        example(message, rules)
    except ContractError as invalid:
        yield error(message.full_name, str(invalid), _FIX)
