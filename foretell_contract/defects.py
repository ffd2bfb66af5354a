"""What in a contract contradicts itself. Any of it stops a start; `foretell check` lists it all."""

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
    """REST paths that collide, rules that cannot be compiled, examples that break a rule."""
    methods = [method for service in services for method in service.methods]
    yield from _collisions(methods)
    wholes = {side.full_name: side for method in methods for side in (method.input, method.output)}
    rows = {row.full_name: row for method in methods for row in (method.features, method.answer)}
    broken = dict.fromkeys(problem for message in wholes.values() for problem in _uncompilable(message, rules))
    failing = [problem for row in rows.values() for problem in _failing(row, rules)] if not broken else []
    yield from [*broken, *failing]
    if not broken and not failing:
        yield from dict.fromkeys(problem for message in wholes.values() for problem in _failing_together(message, rules))


def _collisions(methods: Sequence[Method]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for method in methods:
        for path in method.paths:
            owner = owners.setdefault(path, method.full_name)
            if owner != method.full_name:
                reason = f"the REST path {path} belongs to both {owner} and {method.full_name}"
                yield error(method.full_name, reason, "give one of them another path in google.api.http")


def _uncompilable(message: Descriptor, rules: Rules) -> Iterator[Problem]:
    for name, reason in uncompilable(message, rules):
        yield error(
            name, f"a rule of {name} cannot be compiled: {reason}", "give it a rule of its own type, or an expression that compiles"
        )


def _failing(row: Descriptor, rules: Rules) -> Iterator[Problem]:
    try:
        for name, reason in failing_examples(row, rules):
            yield error(name, reason, _FIX)
    except ContractError as refusal:
        yield error(row.full_name, str(refusal), _FIX)


def _failing_together(message: Descriptor, rules: Rules) -> Iterator[Problem]:
    """Examples that are fine one by one."""
    try:
        example(message, rules)
    except ContractError as refusal:
        yield error(message.full_name, str(refusal), _FIX)
