"""Builds cases from the golden rows in the repository."""

import warnings
from collections.abc import Iterator
from typing import Any

from foretell.testing.case import Case
from foretell.testing.contract_cases import json_body
from foretell_contract.contract import Contract
from foretell_contract.fields import Kind, enum_of, is_map, is_wrapper, map_entry
from foretell_contract.labels import default_labels, match_labels
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.service import Method, Service, Shape
from grpc_server.checks.contract_agreement import bind
from grpc_server.checks.manifest_agreement import checked_sources
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.rows.outputs import all_outputs
from grpc_server.rows.targets import outputs_by_name
from grpc_server.store.manifest import GoldenRow
from grpc_server.store.repository import Bundle, Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.store.training_values import Scalar

_NANOSECONDS = Dtype("datetime64[ns]")


def golden_cases(contract: Contract, service: Service, repository: Repository) -> Iterator[Case]:
    """A case for each golden row of the production version. Raises ModelError if the version cannot be read or loaded."""
    version = RouteTableFiles(repository).read(service.model).aliases.get(PRODUCTION) or repository.latest(service.model)
    bundle = repository.read(service.model, version)
    method = next((method for method in service.methods if method.shape is Shape.ROW), None)
    if method is not None and bundle.golden:
        builder = _GoldenCaseBuilder(contract, service, method, bundle)
        for number, row in enumerate(bundle.golden, 1):
            yield builder.case(number, row)


class _GoldenCaseBuilder:
    """Turns golden rows of a version, which have columns and outputs, into requests and answers of one method."""

    def __init__(self, contract: Contract, service: Service, method: Method, bundle: Bundle) -> None:
        """Loads the model: only its outputs tell which field of the answer holds which output."""
        manifest = bundle.manifest
        with warnings.catch_warnings(action="ignore"):  # scikit-learn warns about rows without column names.
            runtime = bundle.load()
            sources = checked_sources(runtime, manifest, bundle.golden, bundle.title)
        self._answers = bind(contract, service, manifest, sources)[method.name].answers
        self._names = outputs_by_name(all_outputs(sources), manifest.all_targets)
        self._manifest, self._method, self._version = manifest, method, bundle.version
        self._leaves = leaves(method.features, contract.rules, contract.options)
        self._options = contract.options

    def case(self, number: int, row: GoldenRow) -> Case:
        """The case of golden row `number`, counted from 1."""
        name, why = f"golden-{number}", "a golden row is answered as recorded"
        try:
            message = self._method.request(**self._features(row))
        except (ModelError, ValueError, TypeError) as error:
            return Case(self._method, "", name, why, defect=f"golden row {number} does not fit the contract: {error}")
        messages, body = (message.SerializeToString(),), json_body(message) if self._method.paths else None
        golden = self._expected(row)
        return Case(self._method, "", name, why, messages, body, golden=golden, golden_version=self._version)

    def _features(self, row: GoldenRow) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for leaf in self._leaves:
            value = self._field_value(leaf, [row.features[column] for column in leaf.columns])
            if value is not None:
                inner = found
                for field in leaf.parents:
                    inner = inner.setdefault(field.name, {})
                inner[leaf.field.name] = value
        return found

    def _expected(self, row: GoldenRow) -> dict[str, Any]:
        recorded = {self._names[name]: self._number(name, value) for name, value in row.expected.items() if name in self._names}
        fields = [field for field in self._answers.fields if field.outputs and recorded.keys() >= set(field.outputs)]
        return {field.name: field.value([recorded[output] for output in field.outputs]) for field in fields}

    def _number(self, name: str, value: Scalar) -> float:
        """The value as a model outputs it: a label as the index of its class."""
        output = self._names[name]
        if output.kind == "label":
            return float(self._manifest.all_targets[output.target].classes.index(str(value)))
        return float(value)

    def _field_value(self, leaf: Leaf, values: list[Scalar | None]) -> Any:
        """The field as a constructor argument; None if every column is missing."""
        if all(value is None for value in values):
            return None
        if leaf.spread is Spread.OCTETS:
            return bytes(int(value or 0) for value in values)
        wrapped = is_wrapper(map_entry(leaf.field)[1] if is_map(leaf.field) else leaf.field)
        converted = [self._single(leaf, column, value) for column, value in zip(leaf.columns, values, strict=True)]
        items = [{"value": value} if wrapped and value is not None else value for value in converted]
        if leaf.spread is Spread.ONE:
            return items[0]
        if leaf.spread is Spread.KEYS:
            return {key: value for key, value in zip(leaf.keys, items, strict=True) if value is not None}
        return items

    def _single(self, leaf: Leaf, column: str, value: Scalar | None) -> Any:
        if value is None or leaf.kind in (Kind.TEXT, Kind.BYTES):
            return value.encode() if leaf.kind is Kind.BYTES and isinstance(value, str) else value
        if leaf.kind is Kind.ENUM:
            return self._enum_number(leaf, column, value) if isinstance(value, str) else int(value)
        if leaf.kind in (Kind.TIME, Kind.DURATION):
            return _time(leaf.kind, value)
        return {Kind.BOOL: bool, Kind.INTEGER: int, Kind.NUMBER: float}[leaf.kind](value)

    def _enum_number(self, leaf: Leaf, column: str, label: str) -> int:
        enum, dtype = enum_of(leaf.value), self._manifest.dtypes.get(column)
        categories = [str(each) for each in dtype.categories or ()] if dtype is not None else []
        labels = match_labels(enum, categories, self._options).by_number if categories else default_labels(enum, self._options)
        number = next((number for number, each in labels.items() if each == label), None)
        if number is None:
            raise ValueError(f"{leaf.path} has no enum value for {label!r}")
        return number


def _time(kind: Kind, value: Scalar) -> dict[str, int]:
    nanoseconds = int(_NANOSECONDS.from_json(value) or 0)
    sign = -1 if kind is Kind.DURATION and nanoseconds < 0 else 1
    seconds, nanos = divmod(sign * nanoseconds, 10**9)
    return {"seconds": sign * seconds, "nanos": sign * nanos}
