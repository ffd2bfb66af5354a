"""Which field is which column, and which field is which class: by name, never by luck of order."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from contract.contract import Contract
from contract.service import Method
from contract.suggestion import did_you_mean
from grpc_server.errors import ModelMismatch
from grpc_server.runtimes import Matrix

_NUMBERS = {
    FieldDescriptor.CPPTYPE_BOOL,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_PROBABILITY = "_probability"


class Binding:
    """How the rows of one method become a matrix, and the model's output its responses."""

    def __init__(self, contract: Contract, method: Method, columns: Sequence[str], classes: Sequence[str]) -> None:
        """Raises ModelMismatch, naming every column and class on which the contract and the model disagree."""
        self.method = method
        fields = _by_column(contract, method.features)
        _agree(f"{method.features.full_name} and the model's columns", fields, columns, "field", "column")
        outputs = _by_class(contract, method.answer)
        _agree(f"{method.answer.full_name} and the model's classes", outputs, classes, f"<class>{_PROBABILITY} field", "class")
        self._width = len(columns)
        self._get = attrgetter(*(fields[column] for column in columns))
        self._outputs = [outputs[name] for name in classes]
        self._answer = GetMessageClass(method.answer)

    def rows(self, request: Any) -> Sequence[Message]:
        """The rows of a request: the messages of a batch, else the request itself."""
        return getattr(request, self.method.rows.name) if self.method.rows else (request,)

    def matrix(self, rows: Iterable[Message]) -> Matrix:
        """Shape (rows, columns), in training order."""
        values: Any = map(self._get, rows)
        if self._width > 1:
            values = chain.from_iterable(values)
        return np.fromiter(values, np.float64).reshape(-1, self._width)

    def response(self, probabilities: Matrix) -> Message:
        """The response that holds the model's output of shape (rows, classes)."""
        answers = [self._answer(**dict(zip(self._outputs, row, strict=True))) for row in probabilities.tolist()]
        if self.method.answers is None:
            return answers[0]
        return self.method.response(**{self.method.answers.name: answers})


def _by_column(contract: Contract, features: Descriptor) -> dict[str, str]:
    fields: dict[str, str] = {}
    for field in features.fields:
        if field.is_repeated or field.cpp_type not in _NUMBERS:
            raise ModelMismatch(f"{field.full_name} is not a single number: a feature must be one")
        if field.has_presence and not contract.rules.of(field).required:
            raise ModelMismatch(f"{field.full_name} may be missing: a feature must be `required`")
        _bind(fields, contract.options.get(field, "foretell.v1.column") or field.name, field)
    return fields


def _by_class(contract: Contract, answer: Descriptor) -> dict[str, str]:
    fields: dict[str, str] = {}
    for field in answer.fields:
        output = contract.options.get(field, "foretell.v1.output")
        name = output.probability_of if output else field.name.removesuffix(_PROBABILITY)
        if field.is_repeated or field.cpp_type not in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            raise ModelMismatch(f"{field.full_name} is not a double or a float: a probability must be one")
        if name == field.name and not output:
            raise ModelMismatch(f"nothing fills {field.full_name}: name it <class>{_PROBABILITY} or give it (foretell.v1.output)")
        _bind(fields, name, field)
    return fields


def _bind(fields: dict[str, str], name: str, field: FieldDescriptor) -> None:
    if name in fields:
        raise ModelMismatch(f"{field.full_name} and {fields[name]} are both bound to {name!r}")
    fields[name] = field.name


def _agree(what: str, contract: dict[str, str], model: Sequence[str], field: str, thing: str) -> None:
    missing = [name for name in model if name not in contract]
    extra = [name for name in contract if name not in model]
    problems = [f"the model's {thing} {name!r} has no {field}{did_you_mean(name, extra)}" for name in missing]
    problems += [f"{contract[name]} is no {thing} of the model{did_you_mean(name, missing)}" for name in extra]
    if problems:
        raise ModelMismatch(f"{what} disagree: {'; '.join(problems)}")
