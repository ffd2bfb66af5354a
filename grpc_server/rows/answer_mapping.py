"""Maps the outputs of a model to the fields of a response message."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract
from foretell_contract.fields import FLOAT_TYPES, INTEGER_TYPES, TYPE_NAMES, enum_of, is_map, kind_of, map_entry, message_of
from foretell_contract.labels import PROBABILITY_SUFFIX, did_you_mean_value, match_labels
from foretell_contract.problem import Problem, error
from foretell_contract.rows.fast_bounds import Range, plain_rules
from foretell_contract.rows.row_layout import SMALL
from foretell_contract.rules.intervals import LINES
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.source.proto_text import quoted
from grpc_server.errors import ModelMismatch, field_mismatch
from grpc_server.rows.answer_bounds import FINITE, NOTHING, intersection, number_range
from grpc_server.rows.outputs import Output
from grpc_server.rows.response_fields import COUNTED, NO_CLASS, FieldResolver, FieldSource
from grpc_server.rows.targets import Target, integer_classes

FieldValue = Callable[[Sequence[float]], Any]
"""From the outputs of a field to its value, as the constructor of the message takes it."""


@dataclass(frozen=True, slots=True)
class AnswerField:
    """A field of a response, and how it is computed from outputs."""

    name: str
    outputs: tuple[Output, ...]
    value: FieldValue
    is_number: bool = False
    """Whether the field is a double or a float that holds its only output unchanged."""
    labels: Sequence[Any] = ()
    """All values of a field that holds a label."""
    label_numbers: Sequence[int] = ()
    """The value for each class, if the field holds the label in an integer of one byte."""


class AnswerMapping:
    """How outputs of a model fill the fields of one message type. Immutable; safe to use from any thread."""

    def __init__(self, contract: Contract, message: Descriptor, targets: Sequence[Target], outputs: Sequence[Output]) -> None:
        """Raises ModelMismatch with every field that no output fills, and every class on which contract and model disagree."""
        self._contract, self._targets, self._outputs = contract, targets, tuple(outputs)
        self._problems: list[Problem] = []
        self._resolver = FieldResolver(contract, targets, outputs, self._problems)
        self._owners: dict[Output, str] = {}
        """The field that holds the probability of a class."""
        self.ranges = dict.fromkeys(outputs, FINITE)
        """The range of each output within which every message keeps the rules."""
        self._has_all_classes = self._has_class_fields = False
        """Whether one field covers all classes, and whether a field holds the probability of one class."""
        self.fields = tuple(self._message_fields(message, None))
        self._check_classes(message)
        if self._problems:
            raise ModelMismatch.of(self._problems)
        needed = {output for field in self.fields for output in field.outputs}
        self.outputs = tuple(output for output in outputs if output in needed)
        """The outputs that the message needs, in the order of the model."""
        self.is_numbers = all(field.is_number or field.label_numbers for field in self.fields)
        """Whether every field holds a single output unchanged, or a label as an integer of one byte."""

    def _message_fields(self, message: Descriptor, target: int | None) -> list[AnswerField]:
        mapped = []
        for field in message.fields:
            try:
                if field.message_type is not None and not field.is_repeated:
                    mapped.append(self._nested(field, target))
                else:
                    mapped.append(self._field(field, self._resolver.of(field, target)))
                self._limit(message, field, mapped[-1].outputs, mapped[-1].labels)
            except ModelMismatch as mismatch:
                self._problems += mismatch.problems
        return mapped

    def _nested(self, field: FieldDescriptor, target: int | None) -> AnswerField:
        """A message. Its fields are about the target of its name, if there is one."""
        if kind_of(field) is not None:
            reason = f"no output of the model fills {field.full_name}"
            raise field_mismatch(field.full_name, reason, "remove it: a response holds numbers and labels")
        names = [each.name for each in self._targets]
        inner = self._message_fields(message_of(field), names.index(field.name) if field.name in names else target)
        outputs = tuple(dict.fromkeys(output for each in inner for output in each.outputs))
        return AnswerField(field.name, outputs, message_builder(inner, outputs))

    def _field(self, field: FieldDescriptor, source: FieldSource) -> AnswerField:
        self._has_class_fields = self._has_class_fields or (source.kind == "probability" and source.item is not None)
        if NO_CLASS in (source.item, source.label):
            return AnswerField(field.name, (), lambda _row: None)
        if field.is_repeated:
            return self._repeated(field, source)
        if source.kind == "label":
            return self._label(field, source)
        if source.kind == "cluster" and field.cpp_type in INTEGER_TYPES:
            return AnswerField(field.name, (self._output(field, Output("cluster", 0, source.target)),), lambda row: int(row[0]))
        if field.cpp_type not in FLOAT_TYPES:
            reason = f"{field.full_name} is to hold a {source.kind}, but is not a double or a float"
            raise field_mismatch(field.full_name, reason, "declare it as double")
        if source.kind == "probability" and source.item is None:
            return self._label_probability(field, source.target)
        output = self._output(field, Output(source.kind, source.item or 0, source.target))
        self._claim(field, output)
        return AnswerField(field.name, (output,), lambda row: row[0], is_number=True)

    def _label_probability(self, field: FieldDescriptor, target: int) -> AnswerField:
        label = self._output(field, Output("label", 0, target))
        outputs = (label, *self._all_of_kind(field, "probability", target))
        return AnswerField(field.name, outputs, lambda row: row[1 + int(row[0])])

    def _label(self, field: FieldDescriptor, source: FieldSource) -> AnswerField:
        target = self._targets[source.target]
        output = self._output(field, Output("label", 0, source.target))
        self._has_all_classes = True
        if field.cpp_type != FieldDescriptor.CPPTYPE_BOOL:
            labels = self._labels(field, target)
            numbers = labels if all(type(label) is int and 0 <= label < SMALL for label in labels) else ()
            return AnswerField(field.name, (output,), lambda row: labels[int(row[0])], labels=labels, label_numbers=numbers)
        true_class = target.positive if source.label is None else source.label
        if true_class is None:
            reason = f"{field.full_name} is a bool, but no class of the model clearly means true"
            raise field_mismatch(field.full_name, reason, "set (foretell.v1.output).label_is to that class")
        numbers = [int(index == true_class) for index in range(len(target.classes))]
        return AnswerField(
            field.name, (output,), lambda row: int(row[0]) == true_class, labels=(False, True), label_numbers=numbers
        )

    def _labels(self, field: FieldDescriptor, target: Target) -> Sequence[Any]:
        """The value of this field for each class: an enum number, the class name, or its integer. Raises ModelMismatch."""
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
            return target.classes
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return self._enum_numbers(field, target)
        label, fix, numbers = target.classes[0], "make it an enum or a string", integer_classes(target)
        if field.cpp_type in INTEGER_TYPES and numbers is not None:
            line = LINES[TYPE_NAMES[field.type]]
            beyond = [each for each in numbers if not line.low <= each <= line.high]
            if not beyond:
                return numbers
            label = target.classes[numbers.index(beyond[0])]
            fix = "make it an int64, or an enum or a string" if LINES["int64"].low <= beyond[0] <= LINES["int64"].high else fix
        raise field_mismatch(field.full_name, f"{field.full_name} cannot hold a label such as {label!r}", fix)

    def _enum_numbers(self, field: FieldDescriptor, target: Target) -> list[int]:
        found = match_labels(enum_of(field), target.classes, self._contract.options)
        for name in found.without_value:
            hint = did_you_mean_value(name, found.without_label)
            reason = f"the model's class {name!r} has no value in {enum_of(field).name}{hint}"
            fix = f"add a value with that name, or set (foretell.v1.label) = {quoted(name)} on one"
            self._problems.append(error(enum_of(field).full_name, reason, fix))
        return [found.numbers.get(name, 0) for name in target.classes]

    def _repeated(self, field: FieldDescriptor, source: FieldSource) -> AnswerField:
        outputs, keys = self._all_with_keys(field, source)
        self._has_all_classes = self._has_all_classes or source.kind == "probability"
        if is_map(field):
            key, value = map_entry(field)
            if value.cpp_type not in FLOAT_TYPES or key.cpp_type != FieldDescriptor.CPPTYPE_STRING:
                reason = f"{field.full_name} is not a map of strings to doubles or floats"
                raise field_mismatch(field.full_name, reason, "declare it as map<string, double>")
            return AnswerField(field.name, outputs, lambda row: dict(zip(keys, row, strict=True)))
        if field.message_type is not None:
            return self._ranking(field, source, outputs)
        if source.kind == "label":
            reason = f"{field.full_name} is repeated, but a label is a single value"
            raise field_mismatch(field.full_name, reason, "give the label of each target a field of its own")
        if field.cpp_type not in FLOAT_TYPES:
            reason = f"{field.full_name} is to hold each {source.kind}, but does not repeat doubles or floats"
            raise field_mismatch(field.full_name, reason, "declare it as repeated double")
        return AnswerField(field.name, outputs, list)

    def _all_with_keys(self, field: FieldDescriptor, source: FieldSource) -> tuple[tuple[Output, ...], list[str]]:
        """All outputs of a kind and their keys in a map: one for each target of several, or else one for each item."""
        targets = list(enumerate(self._targets))
        names = [target.name for target in self._targets]
        if len(targets) > 1 and source.kind == "value":
            return tuple(self._output(field, Output("value", 0, index)) for index, _ in targets), names
        if len(targets) > 1 and source.kind == "probability" and all(target.positive is not None for _, target in targets):
            return tuple(self._output(field, Output("probability", each.positive or 0, index)) for index, each in targets), names
        outputs = self._all_of_kind(field, source.kind, source.target)
        classes = self._targets[source.target].classes if source.kind == "probability" else ()
        return outputs, [classes[output.item] if classes else str(output.item) for output in outputs]

    def _ranking(self, field: FieldDescriptor, source: FieldSource, outputs: tuple[Output, ...]) -> AnswerField:
        """Messages of a label and its probability, most probable first; ties in the order of the classes."""
        message = message_of(field)
        fields = [each for each in message.fields if not each.is_repeated and each.message_type is None]
        numbers = [each for each in fields if each.cpp_type in FLOAT_TYPES]
        labels = [each for each in fields if each.cpp_type not in FLOAT_TYPES]
        if source.kind != "probability" or (len(numbers), len(labels), len(message.fields)) != (1, 1, 2):
            reason = f"{field.full_name} repeats {message.name}, which is not just a label and its probability"
            raise field_mismatch(field.full_name, reason, "leave only those two fields in that message")
        values = self._labels(labels[0], self._targets[source.target])
        label, probability = labels[0].name, numbers[0].name
        self._limit(message, numbers[0], outputs)
        self._limit(message, labels[0], outputs, values)

        def ranked(row: Sequence[float]) -> list[dict[str, Any]]:
            order = sorted(range(len(row)), key=lambda index: -row[index])
            return [{label: values[index], probability: row[index]} for index in order]

        return AnswerField(field.name, outputs, ranked)

    def _all_of_kind(self, field: FieldDescriptor, kind: str, target: int) -> tuple[Output, ...]:
        found = tuple(output for output in self._outputs if output.kind == kind and output.target == target)
        return found or (self._output(field, Output(kind, 0, target)),)

    def _output(self, field: FieldDescriptor, output: Output) -> Output:
        """The output itself. Raises ModelMismatch if the model does not have it."""
        if output in self._outputs:
            return output
        needed = f"{output.kind} {output.item}" if output.kind in COUNTED else output.kind
        reason = f"{field.full_name} needs the output {needed}, but the model has only {', '.join(self._available())}"
        raise field_mismatch(field.full_name, reason, "remove it, or set (foretell.v1.output) to one of these")

    def _available(self) -> list[str]:
        counts = dict.fromkeys((each.kind for each in self._outputs), 0)
        for each in self._outputs:
            counts[each.kind] = max(counts[each.kind], each.item)
        return [f"{kind} 0 to {last}" if kind in COUNTED and last else kind for kind, last in counts.items()]

    def _limit(self, message: Descriptor, field: FieldDescriptor, outputs: Sequence[Output], labels: Sequence[Any] = ()) -> None:
        """Narrows the ranges of the outputs to those in which the field keeps its rules; to nothing if that takes the message."""
        accepted = self._accepted(message, field, labels)
        for output in outputs:
            if output.kind != "label" or accepted is NOTHING:  # A label in a number is the index of the probability.
                self.ranges[output] = intersection(self.ranges[output], accepted)

    def _accepted(self, message: Descriptor, field: FieldDescriptor, labels: Sequence[Any]) -> Range:
        rules = self._contract.rules
        options = rules.declared("field", field)
        if rules.declared("message", message) or any(rules.declared("oneof", oneof) for oneof in message.oneofs):
            return NOTHING
        if (map_entry(field)[1] if is_map(field) else field).cpp_type in FLOAT_TYPES:
            return number_range(field, rules)
        if field.message_type is not None:
            return FINITE if plain_rules(options, "repeated", {"min_items", "max_items"}) is not None else NOTHING
        valid = bool(labels) and all(self._keeps_rules(message, field, label) for label in labels)
        return FINITE if options is None or valid else NOTHING

    def _keeps_rules(self, message: Descriptor, field: FieldDescriptor, label: Any) -> bool:
        try:
            broken = self._contract.rules.violations(GetMessageClass(message)(**{field.name: label}))
        except EvaluationError:  # Of a rule that may work on a filled message.
            return False
        return all(violation.field != field.name for violation in broken)

    def _claim(self, field: FieldDescriptor, output: Output) -> None:
        """Records which field holds the probability of a class. Raises ModelMismatch if another field does."""
        if output.kind != "probability":
            return
        if output in self._owners:
            name = self._targets[output.target].classes[output.item]
            reason = f"{field.full_name} and {self._owners[output]} both hold the probability of {name!r}"
            raise field_mismatch(field.full_name, reason, "remove one of them")
        self._owners[output] = field.name

    def _check_classes(self, message: Descriptor) -> None:
        """Requires a field for every class if any class has one and no other field covers all classes."""
        if len(self._targets) > 1 or self._has_all_classes or not self._has_class_fields:
            return
        for item, name in enumerate(self._targets[0].classes):
            if Output("probability", item) not in self._owners and name not in self._resolver.suggested:
                reason = f"the model's class {name!r} has no <class>{PROBABILITY_SUFFIX} field in {message.full_name}"
                fix = f"add one, or set (foretell.v1.output).probability_of = {quoted(name)} on one"
                self._problems.append(error(message.full_name, reason, fix))


def message_builder(fields: Sequence[AnswerField], outputs: Sequence[Output]) -> Callable[[Sequence[float]], dict[str, Any]]:
    """A function from one row of `outputs` to the constructor arguments of a message."""
    steps = [(field.name, [outputs.index(output) for output in field.outputs], field.value) for field in fields]

    def build(row: Sequence[float]) -> dict[str, Any]:
        return {name: value([row[index] for index in indices]) for name, indices, value in steps}

    return build
