"""Binds a method of the contract to a model: fields to columns and fields to outputs, by name."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Self

import numpy as np
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract
from foretell_contract.rows.fast_bounds import FastBounds, row_counts
from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rules.rules import ValidationResult, Violation
from foretell_contract.service import Method
from grpc_server.errors import Mismatches
from grpc_server.rows.answer_bounds import NOTHING
from grpc_server.rows.answer_check import broken_rules
from grpc_server.rows.answer_mapping import AnswerMapping, message_builder
from grpc_server.rows.feature_reader import FeatureReader
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Matrix, NumberRows, RequestRows, Row, Rows
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target

NO_LABELS: Mapping[str, Sequence[int]] = {}


class MethodBinding:
    """Turns requests of one method into rows of a model, and the model's outputs into responses.

    Safe to use from any thread once `use_outputs` has been called for the last time.
    """

    def __init__(
        self,
        contract: Contract,
        method: Method,
        columns: Sequence[str],
        classes: Sequence[str],
        *,
        dtypes: Sequence[Dtype] = (),
        targets: Sequence[Target] = (),
        outputs: Sequence[Output] = (),
    ) -> None:
        """Raises ModelMismatch with every column and class on which the contract and the model disagree.

        Defaults: float64 columns, one target with these classes, and the probability of each class as outputs.
        """
        self.method = method
        self.targets = tuple(targets) or (Target("", tuple(classes)),)
        outputs = outputs or tuple(Output("probability", item) for item in range(len(classes)))
        mismatches = Mismatches()
        with mismatches.collect():
            self._features = FeatureReader(contract, method.features, columns, dtypes or [FLOAT64] * len(columns))
        with mismatches.collect():
            self.answers = AnswerMapping(contract, method.answer, self.targets, outputs)
        mismatches.check()
        self._answer = GetMessageClass(method.answer)
        self._in = _ColumnOrder.of(RowLayout.of(method.features), self._features.number_fields)
        self._bounds = FastBounds.of(method.features, contract.rules)
        self._counts = row_counts(method.input, contract.rules) if method.rows else None
        self._rules = contract.rules
        self.use_outputs(self.answers.outputs)

    def use_outputs(self, outputs: Sequence[Output]) -> None:
        """From now on, the model computes these outputs; they must include `answers.outputs`."""
        self.outputs = tuple(outputs)
        """The columns of the model's output matrix."""
        self._build = message_builder(self.answers.fields, outputs)
        fields = {field.outputs[0]: field for field in self.answers.fields} if self.answers.is_numbers else {}
        names = [fields[output].name if output in fields else "" for output in outputs]
        labels = {field.name: field.label_numbers for field in fields.values() if field.label_numbers}
        self._out = _ColumnOrder.of(RowLayout.of(self.method.answer, integers=True), names, labels)
        batched = self.method.answers is not None and row_counts(self.method.output, self._rules) is None
        self.ranges = [NOTHING if batched else self.answers.ranges[output] for output in outputs]
        """The range of each output within which every response keeps the rules."""

    def fast_rows(self, request: bytes) -> RequestRows | None:
        """The rows of a request whose bytes are canonical and which clearly keeps the rules, in training order.

        None otherwise: protobuf must then parse the request, and protovalidate check it.
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

    def row_messages(self, request: Any) -> Sequence[Message]:
        """The rows of a parsed request: the messages of a batch, or the request itself."""
        return getattr(request, self.method.rows.name) if self.method.rows else (request,)

    def model_rows(self, messages: Iterable[Message]) -> Rows:
        """The messages as rows of the model, in training order."""
        return self._features.rows(messages)

    def out_of_range(self, rows: Rows | RequestRows) -> list[Violation]:
        """A violation of `model_range` for each NaN and each number beyond float32, on which most models fail."""
        several = self.method.rows
        return [
            Violation(
                f"{several.name}[{row}].{path}" if several else path,
                "model_range",
                "must be a number, not NaN" if isnan(value) else "must be within what the model can answer",
            )
            for row, path, value in self._features.out_of_range(rows)  # type: ignore[arg-type]  # A tuple of one row works too.
        ]

    def encode(self, outputs: NumberRows) -> bytes:
        """The serialized response for the model's outputs, shape (rows, outputs)."""
        if self._out is None:
            return self.response(np.asarray(outputs)).SerializeToString()
        if self.method.answers is None:
            return self._out.layout.encode(self._out.field_row(outputs[0]))
        return self._out.layout.encode_batch(self._out.field_matrix(np.asarray(outputs)), self.method.answers)

    def broken_rules(self, outputs: NumberRows, most: int) -> ValidationResult:
        """The violations in the response for the model's outputs; the search for more ends after `most`."""
        return broken_rules(self.response(np.asarray(outputs)), self.method.answers, self._rules, most)

    def response(self, outputs: Matrix) -> Message:
        """The response message for the model's outputs, shape (rows, outputs)."""
        messages = [self._answer(**self._build(row)) for row in outputs.tolist()]
        if self.method.answers is None:
            return messages[0]
        return self.method.response(**{self.method.answers.name: messages})


class _ColumnOrder:
    """Reorders columns between a wire layout, which has them by field number, and a model."""

    def __init__(self, layout: RowLayout, names: Sequence[str], labels: Mapping[str, Sequence[int]]) -> None:
        self.layout = layout
        self._from = [layout.names.index(name) for name in names if name]
        self._to = [names.index(name) for name in layout.names]
        self._same = self._to == list(range(len(names)))
        self._labels = [(layout.names.index(name), np.array(numbers), list(numbers)) for name, numbers in labels.items()]

    @classmethod
    def of(cls, layout: RowLayout | None, names: Sequence[str], labels: Mapping[str, Sequence[int]] = NO_LABELS) -> Self | None:
        """`names` has the field of each column, or ""; `labels` the integers that a field of labels holds for each class.

        None if the message has no layout, or more fields.
        """
        complete = layout is not None and sorted(filter(None, names)) == sorted(layout.names)
        return cls(layout, names, labels) if layout is not None and complete else None

    def row(self, fields: Row) -> Row:
        return fields if self._same else tuple([fields[index] for index in self._from])

    def matrix(self, fields: Matrix) -> Matrix:
        return fields if self._same else fields[:, self._from]

    def field_row(self, row: Row) -> Row:
        if self._same and not self._labels:
            return row
        fields: list[Any] = [row[index] for index in self._to]
        for place, _, numbers in self._labels:
            fields[place] = numbers[int(fields[place])]
        return fields

    def field_matrix(self, matrix: Matrix) -> Matrix:
        if self._same and not self._labels:
            return matrix
        fields = matrix[:, self._to]
        for place, numbers, _ in self._labels:
            fields[:, place] = numbers[fields[:, place].astype(np.intp)]
        return fields
