"""Which field is which column, and which field is which output: by name, never by luck of order."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract
from foretell_contract.rows.fast_bounds import FastBounds, row_counts
from foretell_contract.rows.row_layout import RowLayout
from foretell_contract.rules.rules import Violation
from foretell_contract.service import Method
from grpc_server.errors import Mismatches
from grpc_server.rows.answers import Answers, filling
from grpc_server.rows.class_names import Target
from grpc_server.rows.features import Features
from grpc_server.rows.mixed_rows import PLAIN, Dtype, JobRows, Matrix, Outputs, Row, Rows
from grpc_server.rows.outputs import Output


class Binding:
    """How the rows of one method become those of a model, and the model's outputs its responses."""

    def __init__(
        self,
        contract: Contract,
        method: Method,
        columns: Sequence[str],
        classes: Sequence[str],
        *,
        dtypes: Sequence[Dtype] = (),
        targets: Sequence[Target] = (),
        offered: Sequence[Output] = (),
    ) -> None:
        """Raises ModelMismatch, naming every column and class on which the contract and the model disagree.

        Without more being said, the columns are numbers and the model gives the probability of each class of its only target.
        """
        self.method = method
        targets = tuple(targets) or (Target("", tuple(classes)),)
        self.targets = targets
        offered = offered or tuple(Output("probability", item) for item in range(len(classes)))
        mismatches = Mismatches()
        with mismatches.noted():
            self.features = Features(contract, method.features, columns, dtypes or [PLAIN] * len(columns))
        with mismatches.noted():
            self.answers = Answers(contract, method.answer, targets, offered)
        mismatches.check()
        self._answer = GetMessageClass(method.answer)
        fields = self.features.number_fields
        self._in = _Columns.of(method.features, fields, fields)
        self._bounds = FastBounds.of(method.features, contract.rules)
        self._counts = row_counts(method.input, contract.rules) if method.rows else None
        self.take(self.answers.outputs)

    def take(self, outputs: Sequence[Output]) -> None:
        """From now on the answers of the model hold these outputs, those that are needed here among them."""
        self.given = tuple(outputs)
        """What the answers of the model hold, in their order."""
        self._fill = filling(self.answers.parts, outputs)
        held = {part.outputs[0]: part.field for part in self.answers.parts} if self.answers.plain else {}
        self._out = _Columns.of(self.method.answer, list(held.values()), [held.get(output, "") for output in outputs])

    def clear_rows(self, request: bytes) -> JobRows | None:
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

    def matrix(self, rows: Iterable[Message]) -> Rows:
        """The rows as the model takes them, in training order."""
        return self.features.rows(rows)

    def out_of_reach(self, rows: Rows | JobRows) -> list[Violation]:
        """The numbers of rows on which a model has failed that may be the reason: the contract takes them, its model cannot."""
        several = self.method.rows
        return [
            Violation(
                f"{several.name}[{row}].{path}" if several else path, "model_range", "must be within what the model can answer"
            )
            for row, path in self.features.out_of_reach(rows)  # type: ignore[arg-type]  # A tuple of rows is as good.
        ]

    def encode(self, answers: Outputs) -> bytes:
        """The bytes of the response that holds the model's answers, one for each row."""
        if self._out is None:
            return self.response(np.asarray(answers)).SerializeToString()
        if self.method.answers is None:
            return self._out.layout.encode(self._out.field_row(answers[0]))
        return self._out.layout.encode_batch(self._out.field_matrix(np.asarray(answers)), self.method.answers)

    def response(self, answers: Matrix) -> Message:
        """The response that holds the model's answers, shape (rows, outputs)."""
        messages = [self._answer(**self._fill(row)) for row in answers.tolist()]
        if self.method.answers is None:
            return messages[0]
        return self.method.response(**{self.method.answers.name: messages})


class _Columns:
    """Between a layout, whose columns are in the order of the fields' numbers, and the order of the model."""

    def __init__(self, layout: RowLayout, names: Sequence[str]) -> None:
        self.layout = layout
        self._from = [layout.names.index(name) for name in names if name]
        self._to = [names.index(name) for name in layout.names]
        self._same = self._to == list(range(len(names)))

    @classmethod
    def of(cls, message: Descriptor, fields: Sequence[str], names: Sequence[str]) -> Self | None:
        """None where the message has no layout, or `fields` are not all of its fields; `names` are those of the model's columns.

        A column of the model that is no field here has an empty name.
        """
        layout = RowLayout.of(message)
        return cls(layout, names) if layout is not None and sorted(fields) == sorted(layout.names) else None

    def row(self, fields: Row) -> Row:
        return fields if self._same else tuple([fields[index] for index in self._from])

    def matrix(self, fields: Matrix) -> Matrix:
        return fields if self._same else fields[:, self._from]

    def field_row(self, row: Row) -> Row:
        return row if self._same else [row[index] for index in self._to]

    def field_matrix(self, matrix: Matrix) -> Matrix:
        return matrix if self._same else matrix[:, self._to]
