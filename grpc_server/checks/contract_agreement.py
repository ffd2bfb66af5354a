"""Whether a model fits a service of the contract: its methods can be bound, and it answers the contract's examples.

`place` names the model in messages, such as "model 'iris' version 3".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.examples.variants import variants
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import Violation
from foretell_contract.service import Service
from grpc_server.errors import Mismatches, exception_text, field_mismatch
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.store.manifest import Manifest

_CHANGE_THE_RULE = "change the rule: the model decides its answers"

TOGETHER = 16
"""Values without which a model is tried at once: one by one, wide rows take time in the square of their width."""


def bind(contract: Contract, service: Service, manifest: Manifest, sources: Sequence[Source]) -> dict[str, MethodBinding]:
    """The binding of each method of a service, by the method's name. Raises ModelMismatch with every field that does not fit."""
    facts = {"dtypes": manifest.column_dtypes, "targets": manifest.all_targets, "outputs": all_outputs(sources)}
    bindings, mismatches = {}, Mismatches()
    for method in service.methods:
        with mismatches.collect():
            bindings[method.name] = MethodBinding(contract, method, manifest.columns, manifest.classes, **facts)  # type: ignore[arg-type]
    mismatches.check()
    return bindings


def bind_outputs(
    contract: Contract, service: Service, manifest: Manifest, sources: Sequence[Source]
) -> tuple[dict[str, MethodBinding], tuple[Output, ...]]:
    """The bindings of a service, and the outputs that they need of the model. Raises as `bind`."""
    bindings = bind(contract, service, manifest, sources)
    needed = {output for binding in bindings.values() for output in binding.answers.outputs}
    outputs = tuple(output for output in all_outputs(sources) if output in needed)
    for binding in bindings.values():
        binding.use_outputs(outputs)
    return bindings, outputs


def check_contract(contract: Contract, model: str, manifest: Manifest, sources: Sequence[Source], place: str) -> None:
    """Hold a model that is to be added against each service that it is for. Raises ModelMismatch with every problem."""
    mismatches = Mismatches()
    for service in contract.services:
        if service.model == model:
            with mismatches.collect():
                bindings, outputs = bind_outputs(contract, service, manifest, sources)
                if not contract.defects:  # Else its examples may be no rows.
                    check_examples(output_function(sources, outputs), bindings, contract, place)
    mismatches.check()


def check_examples(predict: Callable[[Any], Matrix], bindings: Mapping[str, MethodBinding], contract: Contract, place: str) -> None:
    """Predict the contract's example of each method and its variants, such as one with a missing value.

    Raises ModelMismatch with everything that fails: the model raises, gives a number that is not finite, or its answer breaks a
    rule of the response.
    """
    mismatches, tried = Mismatches(), set()
    for binding in bindings.values():
        request: Any = example(binding.method.input, contract.rules)
        if request is None:
            continue
        with mismatches.collect():
            rows = binding.row_messages(request)
            answer = _answer(predict, binding, rows, place)
            mismatches.problems += [_broken_rule(violation, binding, place) for violation in contract.rules.violations(answer)]
            if binding.method.features not in tried:
                tried.add(binding.method.features)
                mismatches.problems += [*_variant_problems(predict, binding, rows[0], contract, place)] if rows else []
    mismatches.check()


def _answer(predict: Callable[[Any], Matrix], binding: MethodBinding, rows: Any, place: str) -> Any:
    """The response to the example. Raises ModelMismatch."""
    try:
        return binding.response(_finite(predict(binding.model_rows(rows))))
    except Exception as raised:  # A model may raise anything.
        name = binding.method.features.full_name
        reason = f"{place} cannot answer the example of {name} ({exception_text(raised)})"
        raise field_mismatch(name, reason, "give the fields examples that the model was trained for") from raised


def _variant_problems(
    predict: Callable[[Any], Matrix], binding: MethodBinding, row: Any, contract: Contract, place: str
) -> Iterator[Problem]:
    name, left = binding.method.features.full_name, variants(row, contract.rules)
    while group := list(islice(left, TOGETHER)):
        if all(each.is_shorter for each in group) and not _failure(predict, binding, _without(row, [each.path for each in group])):
            continue
        for variant in group:
            failure = _failure(predict, binding, variant.row)
            if failure:
                reason = f"{name}.{variant.path} {variant.statement}, but {place} cannot answer then ({failure})"
                yield error(f"{name}.{_first_field(variant.path)}", reason, variant.fix)


def _failure(predict: Callable[[Any], Matrix], binding: MethodBinding, row: Any) -> str:
    """Why the model does not answer a row; empty if it does."""
    try:
        _finite(predict(binding.model_rows([row])))
    except Exception as raised:  # A model may raise anything.
        return exception_text(raised)
    return ""


def _without(row: Any, fields: Sequence[str]) -> Any:
    shorter = type(row)()
    shorter.CopyFrom(row)
    for field in fields:
        shorter.ClearField(field)
    return shorter


def _broken_rule(violation: Violation, binding: MethodBinding, place: str) -> Problem:
    """The problem of a broken rule, named by its field; a violation in a batch belongs to the message of one row."""
    method = binding.method
    _, in_row, path = violation.field.partition("].") if method.answers else ("", "", "")
    message, path = (method.answer, path) if in_row else (method.output, violation.field)
    reason = f"the answer of {place} to the example of {method.features.full_name} breaks {path}: {violation.message}"
    return error(f"{message.full_name}.{_first_field(path)}".strip("."), reason, _CHANGE_THE_RULE)


def _first_field(path: str) -> str:
    return path.partition("[")[0]


def _finite(answers: Matrix) -> Matrix:
    if not np.isfinite(answers).all():
        raise ValueError("its answer is not finite")
    return answers
