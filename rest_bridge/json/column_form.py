"""Batches in columns, `{"columns": {"x": [1, 2], "y": [3, null]}}`: the bridge's own form beside the rows of the contract."""

import sys
from dataclasses import replace
from itertools import islice
from typing import Any

from foretell_contract.rules.rules import Rules
from foretell_contract.service import Method
from rest_bridge.json.codec import COLUMNS, object_reader
from rest_bridge.json.request_problems import Loc, RequestProblem, RequestProblems, RequestRefused


def has_columns(method: Method) -> bool:
    """Whether callers may send columns: to a batch method, unless the contract itself gives its rows that name."""
    return method.rows is not None and method.rows.name != COLUMNS


class ColumnForm:
    """Reads the columns of one batch method as rows. Immutable; safe to use from any thread."""

    def __init__(self, method: Method, rules: Rules) -> None:
        rows: Any = method.rows
        self._rows = rows.name
        self._most = rules.of(rows).values.get("max_items", sys.maxsize - 1) + 1
        columns = object_reader("columns", {field.name: _list for field in method.features.fields})
        self._read = object_reader(method.input.name, {COLUMNS: columns, rows.name: lambda rows, *_: rows})

    def rows(self, document: Any) -> dict[str, Any]:
        """The same batch in rows, at most one more than the contract allows. Raises RequestRefused for columns of no table."""
        problems = RequestProblems()
        fields = self._read(document, ("body",), problems) or {}
        columns = fields.get(COLUMNS) or {}
        if self._rows in fields:
            problems.add(RequestProblem("oneof_fields", ("body", COLUMNS), f"must not be given together with {self._rows}"))
        lengths = {len(values or ()): f"{name} has {len(values or ())}" for name, values in columns.items()}
        if len(lengths) > 1 and not problems.count:
            one, other, *_ = lengths.values()
            problems.add(RequestProblem("column_lengths", ("body", COLUMNS), f"must hold equally many values: {one}, {other}"))
        if problems.count:
            raise RequestRefused(422, problems.found, count=problems.count)
        rows = islice(zip(*columns.values(), strict=True), self._most)
        return {self._rows: [dict(zip(columns, row, strict=True)) for row in rows]}

    def relocate(self, refused: RequestRefused) -> RequestRefused:
        """The refusal of such rows with its places in the columns: `rows, 3, x` becomes `columns, x, 3`."""
        refused.problems = [replace(problem, loc=self._place(*problem.loc)) for problem in refused.problems]
        return refused

    def _place(self, *loc: str | int) -> Loc:
        return ("body", COLUMNS, *loc[3:4], *loc[2:3], *loc[4:]) if loc[:2] == ("body", self._rows) else loc


def _list(value: Any, loc: Loc, problems: RequestProblems) -> list[Any] | None:
    if isinstance(value, list):
        return value
    problems.add(RequestProblem("list_type", loc, "must be a list", value))
    return None
