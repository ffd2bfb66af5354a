"""Updates the fields of `Features` for a model that was trained again."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor

from foretell.check.training_range import FIELD, Range, range_in_comment, range_of
from foretell.init.contract_edit import ContractEdit, next_number, reserved_names, text_of
from foretell.init.draft_features import PackageNames, draft_feature, field_numbers, literal, number_kind
from foretell.init.draft_response import finds_outliers
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from foretell_contract.fields import Kind
from foretell_contract.rows.columns import Leaf, Spread, leaves
from foretell_contract.source.proto_text import quoted
from foretell_contract.source.spelling import Names
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.checks.training_columns import Column
from grpc_server.store.training_values import SampleValues

_RANGE_KINDS = {
    Kind.NUMBER: "double",
    Kind.INTEGER: "int64",
    Kind.TIME: "timestamp",
    Kind.DURATION: "duration",
    Kind.TEXT: "string",
}


class FeaturesUpdate:
    """Collects the changes of one `Features` message."""

    def __init__(self, edit: ContractEdit, contract: Contract, features: Descriptor, model: ModelDescription, *, tighten: bool):
        """`tighten` lets bounds shrink to the new data."""
        self._edit, self._contract, self._features, self._model = edit, contract, features, model
        self._tighten, self._outliers = tighten, finds_outliers(model)
        self.notes: list[str] = []
        """What the author should look at."""

    def update(self) -> None:
        """Follows the data, reserves lost columns, appends new ones. Raises SetupError for a change that the author must make."""
        columns = {column.name: column for column in self._model.columns}
        matched: set[str] = set()
        for leaf in leaves(self._features, self._contract.rules, self._contract.options):
            present = [name for name in leaf.columns if name in columns]
            matched.update(present)
            if len(present) == len(leaf.columns):
                if leaf.spread is Spread.ONE:
                    self._update_field(leaf, columns[leaf.columns[0]])
                    self._note_nullable(leaf, columns[leaf.columns[0]])
            elif present or leaf.parents:
                gone = next(name for name in leaf.columns if name not in columns)
                raise SetupError(
                    f"{leaf.field.full_name} fills the column {gone!r}, which the model no longer has: change it by hand, or "
                    f"{self._edit.beside}"
                )
            else:
                self._edit.reserve(leaf.field.full_name, leaf.field.number)
        self._append_columns([column for column in self._model.columns if column.name not in matched])

    def _append_columns(self, columns: Sequence[Column]) -> None:
        names = Names((*self._features.fields_by_name, *reserved_names(self._features)))
        package = PackageNames(self._features.file.message_types_by_name, self._features.file.enum_types_by_name.values())
        for number, column in zip(field_numbers(next_number(self._features)), columns, strict=False):
            line, enum = draft_feature(column, number, names, package, outliers=self._outliers)
            for kind in ("Timestamp", "Duration"):
                if line.declared.startswith(f"google.protobuf.{kind} "):
                    self._edit.file.require(f"google/protobuf/{kind.lower()}.proto")
            self._edit.file.append(self._features.full_name, "\n" + text_of(line))
            if enum:
                self._edit.file.add("\n" + text_of(enum.block))

    def _note_nullable(self, leaf: Leaf, column: Column) -> None:
        """`required` is a promise to callers, so only the author removes it."""
        if column.nullable and self._contract.rules.of(leaf.field).required:
            gaps = column.values.count(None)
            self.notes.append(
                f"{leaf.field.full_name} is required, but is missing in {gaps:,} of {len(column.values):,} rows, and the model "
                "answers such rows: remove `required` if callers may leave it out too"
            )

    def _update_field(self, leaf: Leaf, column: Column) -> None:
        values = SampleValues.of(column.values)
        kind = "uint64" if leaf.rules.kind == "uint64" else _RANGE_KINDS.get(leaf.kind)
        if column.dtype.is_text:
            known = [str(value) for value in column.dtype.categories]
            labels = known or values.texts
            if leaf.kind is Kind.ENUM and labels:
                self._edit.update_enum(leaf.field, list(dict.fromkeys(labels)), {}, complete=bool(known))
            elif leaf.kind is Kind.TEXT and known:
                self._update_list(leaf, "string", [quoted(text) for text in known], leaf.rules.values.get("in", ()))
        elif leaf.kind is Kind.INTEGER and column.dtype.categories:
            known = [str(int(value)) for value in column.dtype.categories if float(value).is_integer()]
            self._update_list(leaf, kind or "int64", known, leaf.rules.values.get("in", ()))
        if kind is not None and len(values.known) and column.dtype.is_text == (kind == "string"):
            self._update_range(leaf, self._range(leaf, kind, values, column), column)

    def _range(self, leaf: Leaf, kind: str, values: SampleValues, column: Column) -> Range:
        found = [len(text) for text in values.texts] if kind == "string" else values.span or ()
        if kind in ("int64", "uint64") and number_kind(column, values) == "double":
            raise SetupError(
                f"{leaf.field.full_name} holds integers, but the data has fractions in {column.name!r}: {self._edit.beside}"
            )
        numbers = [int(each) if kind in ("int64", "uint64") else each for each in found]
        return range_of(kind, numbers, column.name, outliers=self._outliers)

    def _update_list(self, leaf: Leaf, kind: str, known: list[str], listed: Sequence[Any]) -> None:
        """Lists exactly the categories that the encoder knows, if the field has a list that was drafted."""
        places = [self._edit.rule(leaf.field, kind, "in", index) for index in range(len(listed))]
        spans = [place for place in places if place]
        before = _texts(kind, listed)
        if not listed or len(spans) != len(listed) or set(before) == set(known):
            return
        start, end = spans[0][0], spans[-1][1]
        options = [f"{FIELD}.{kind}.in = {text}" for text in before if text in known]
        options += [f"{FIELD}.{kind}.in = {text}" for text in known if text not in before]
        self._edit.file.replace(start, end, ",\n    ".join(options))
        if any(each not in known for each in _texts(kind, leaf.rules.examples[:1])):
            self._edit.set_example(leaf.field, kind, known[0])
        words = {f"one of {len(before):,} texts": f"one of {len(known):,} texts"}
        words |= {f"one of {', '.join(before)}": f"one of {', '.join(known)}"}
        self._edit.replace_words(leaf.field.full_name, words)

    def _update_range(self, leaf: Leaf, found: Range, column: Column) -> None:
        name = leaf.field.full_name
        before = range_in_comment(found.kind, self._contract.comment(name), column.name, outliers=self._outliers)
        now = found if before is None or self._tighten else found.union(before)
        places = {rule: place for rule in now.rules if (place := self._edit.rule(leaf.field, now.kind, rule))}
        if before:
            words = {f"{before.sentence} {before.accepted}".rstrip(): f"{now.sentence} {now.accepted}".rstrip()}
            self._edit.replace_words(name, words | {before.sentence: now.sentence})
        drafted = [" = ".join(option) for option in before.options] if before else None
        if [self._edit.file.text(*place) for place in places.values()] != drafted:
            self._note_excluded_data(leaf, now)
            return
        for rule, place in places.items():
            self._edit.set_rule(place, now.bound_texts[rule])
        self._replace_example(leaf, now, column)

    def _replace_example(self, leaf: Leaf, now: Range, column: Column) -> None:
        low, high = now.bounds
        examples = [getattr(value, "seconds", value) for value in leaf.rules.examples[:1]]
        examples = [len(value) if isinstance(value, str) else value for value in examples]
        if examples and not low <= examples[0] <= high:
            self._edit.set_example(leaf.field, now.kind, literal(column.example, now.kind))

    def _note_excluded_data(self, leaf: Leaf, now: Range) -> None:
        """The author's own bounds stay; a note says if they exclude training data."""
        bounds = {rule: getattr(value, "seconds", value) for rule, value in leaf.rules.values.items()}
        below = any(now.low < bounds.get(rule, now.low) for rule in ("gt", "gte", "min_len"))
        above = any(now.high > bounds.get(rule, now.high) for rule in ("lt", "lte", "max_len"))
        if below or above:
            self.notes.append(f"{leaf.field.full_name} has bounds of your own, which exclude training data. {now.sentence}")


def _texts(kind: str, values: Sequence[Any]) -> list[str]:
    """Texts or integers as they are written in a contract."""
    return [quoted(value) if kind == "string" else str(value) for value in values]
