"""Which field is which column, and which field is which class: by name, never by luck of order."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Self

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from contract.bounds import Bounds, row_counts
from contract.contract import Contract
from contract.layout import Layout
from contract.service import Method
from contract.suggestion import did_you_mean
from grpc_server.batcher import Row, Rows
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
        self._in = _Columns.of(method.features, [fields[column] for column in columns])
        self._out = _Columns.of(method.answer, self._outputs)
        self._bounds = Bounds.of(method.features, contract.rules)
        self._counts = row_counts(method.input, contract.rules) if method.rows else None

    def clear_rows(self, request: bytes) -> Rows | None:
        """The rows of a request that clearly is as it should be, in training order.

        None where protobuf has to read it and protovalidate to judge it.
        """
        if self._in is None or self._bounds is None:
            return None
        if self.method.rows is None:
            row = self._in.layout.row(request)
            return (self._in.row(row),) if row is not None and self._bounds.accepts_row(row) else None
        matrix = self._in.layout.decode_batch(request, self.method.rows)
        if self._counts is None or matrix is None or len(matrix) not in self._counts or not self._bounds.accepts(matrix):
            return None
        return self._in.matrix(matrix)

    def rows(self, request: Any) -> Sequence[Message]:
        """The rows of a request: the messages of a batch, else the request itself."""
        return getattr(request, self.method.rows.name) if self.method.rows else (request,)

    def matrix(self, rows: Iterable[Message]) -> Matrix:
        """Shape (rows, columns), in training order."""
        values: Any = map(self._get, rows)
        if self._width > 1:
            values = chain.from_iterable(values)
        return np.fromiter(values, np.float64).reshape(-1, self._width)

    def encode(self, probabilities: Rows) -> bytes:
        """The bytes of the response that holds the model's output, a row of classes for each row."""
        if self._out is None:
            return self.response(np.asarray(probabilities)).SerializeToString()
        if self.method.answers is None:
            return self._out.layout.encode(self._out.field_row(probabilities[0]))
        return self._out.layout.encode_batch(self._out.field_matrix(np.asarray(probabilities)), self.method.answers)

    def response(self, probabilities: Matrix) -> Message:
        """The response that holds the model's output of shape (rows, classes)."""
        answers = [self._answer(**dict(zip(self._outputs, row, strict=True))) for row in probabilities.tolist()]
        if self.method.answers is None:
            return answers[0]
        return self.method.response(**{self.method.answers.name: answers})


class _Columns:
    """Between a layout, whose columns are in the order of the fields' numbers, and the order of the model."""

    def __init__(self, layout: Layout, names: Sequence[str]) -> None:
        self.layout = layout
        self._from = [layout.names.index(name) for name in names]
        self._to = [names.index(name) for name in layout.names]
        self._same = self._from == sorted(self._from)

    @classmethod
    def of(cls, message: Descriptor, names: Sequence[str]) -> Self | None:
        """None where the message has no layout, or `names` are not all of its fields."""
        layout = Layout.of(message)
        return cls(layout, names) if layout is not None and set(names) == set(layout.names) else None

    def row(self, fields: Row) -> Row:
        return fields if self._same else tuple([fields[index] for index in self._from])

    def matrix(self, fields: Matrix) -> Matrix:
        return fields if self._same else fields[:, self._from]

    def field_row(self, row: Row) -> Row:
        return row if self._same else [row[index] for index in self._to]

    def field_matrix(self, matrix: Matrix) -> Matrix:
        return matrix if self._same else matrix[:, self._to]


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
