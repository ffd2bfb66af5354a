"""From the outputs of a model to the messages that answer a request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from foretell_contract.contract import Contract
from foretell_contract.fields import FLOATS, WHOLE, enum_of, is_map, kind_of, map_entry, message_of
from foretell_contract.labels import PROBABILITY_SUFFIX, did_you_mean_value, match_labels
from foretell_contract.problem import Problem, error
from foretell_contract.source.proto_text import quoted
from grpc_server.errors import ModelMismatch, misfit
from grpc_server.rows.class_names import Target, integers
from grpc_server.rows.outputs import Output
from grpc_server.rows.response_fields import UNKNOWN, FieldResolver, FieldSource

Value = Callable[[Sequence[float]], Any]
"""From the numbers of some outputs to what a message's constructor takes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field, the outputs that fill it, and how."""

    field: str
    outputs: tuple[Output, ...]
    value: Value
    plain: bool = False
    """Whether it is a double or a float that holds its only output."""


class Answers:
    """How the outputs of a model fill the messages of one type. Immutable; safe to use from any thread."""

    def __init__(self, contract: Contract, message: Descriptor, targets: Sequence[Target], offered: Sequence[Output]) -> None:
        """Raises ModelMismatch, naming a field that nothing fills, or every class on which the contract and the model disagree."""
        self.parts = tuple(_Maker(contract, message, targets, tuple(offered)).parts)
        needed = {output for part in self.parts for output in part.outputs}
        self.outputs = tuple(output for output in offered if output in needed)
        """What is needed of the model, in its order."""
        self.plain = all(part.plain for part in self.parts)
        """Whether every field is one number."""


def filling(parts: Sequence[Part], given: Sequence[Output]) -> Callable[[Sequence[float]], dict[str, Any]]:
    """From a row of the model's answer, whose numbers are `given`, to what the message's constructor takes."""
    steps = [(part.field, [given.index(output) for output in part.outputs], part.value) for part in parts]

    def fill(row: Sequence[float]) -> dict[str, Any]:
        return {name: value([row[place] for place in places]) for name, places, value in steps}

    return fill


class _Maker:
    """Makes the parts of one response, and collects what is wrong with it."""

    def __init__(self, contract: Contract, message: Descriptor, targets: Sequence[Target], offered: tuple[Output, ...]) -> None:
        self._contract, self._targets, self._offered = contract, targets, offered
        self._problems: list[Problem] = []
        self._asking = FieldResolver(contract, targets, offered, self._problems)
        self._owners: dict[Output, str] = {}
        """Which field holds the probability of a class."""
        self._all_told = self._some_told = False
        """Whether one field tells all classes, and whether some classes have a field of their own."""
        self.parts = self._parts(message, None)
        self._check_classes(message)
        if self._problems:
            raise ModelMismatch.of(self._problems)

    def _parts(self, message: Descriptor, target: int | None) -> list[Part]:
        parts = []
        for field in message.fields:
            try:
                asked = None if _is_message(field) else self._asking.of(field, target)
                parts.append(self._part(field, asked) if asked else self._nested(field, target))
            except ModelMismatch as mismatch:
                self._problems += mismatch.problems
        return parts

    def _nested(self, field: FieldDescriptor, target: int | None) -> Part:
        """A message: about one target where it is named like it."""
        if kind_of(field) is not None:
            fix = "take it out: a response is made of numbers and labels"
            raise misfit(field.full_name, f"nothing fills {field.full_name}", fix)
        names = [each.name for each in self._targets]
        inner = self._parts(message_of(field), names.index(field.name) if field.name in names else target)
        outputs = tuple(dict.fromkeys(output for part in inner for output in part.outputs))
        return Part(field.name, outputs, filling(inner, outputs))

    def _part(self, field: FieldDescriptor, asked: FieldSource) -> Part:
        self._some_told = self._some_told or (asked.kind == "probability" and asked.item is not None)
        if UNKNOWN in (asked.item, asked.label):
            return Part(field.name, (), lambda _row: None)
        if field.is_repeated:
            return self._several(field, asked)
        if asked.kind == "label":
            return self._label(field, asked)
        if asked.kind == "cluster" and field.cpp_type in WHOLE:
            return Part(field.name, (self._offer(field, Output("cluster", 0, asked.target)),), lambda row: int(row[0]))
        if field.cpp_type not in FLOATS:
            reason = f"{field.full_name} is not a double or a float: a {asked.kind} must be one"
            raise misfit(field.full_name, reason, "declare it so")
        if asked.kind == "probability" and asked.item is None:
            label = self._offer(field, Output("label", 0, asked.target))
            return Part(field.name, (label, *self._all(field, "probability", asked.target)), lambda row: row[1 + int(row[0])])
        output = self._offer(field, Output(asked.kind, asked.item or 0, asked.target))
        self._own(field, output)
        return Part(field.name, (output,), lambda row: row[0], plain=True)

    def _label(self, field: FieldDescriptor, asked: FieldSource) -> Part:
        target = self._targets[asked.target]
        output = self._offer(field, Output("label", 0, asked.target))
        self._all_told = True
        if field.cpp_type != FieldDescriptor.CPPTYPE_BOOL:
            words = self._spelling(field, target)
            return Part(field.name, (output,), lambda row: words[int(row[0])])
        meant = target.positive if asked.label is None else asked.label
        if meant is None:
            reason = f"{field.full_name} is true or false, but for which class?"
            raise misfit(field.full_name, reason, "say so with (foretell.v1.output).label_is")
        return Part(field.name, (output,), lambda row: int(row[0]) == meant)

    def _spelling(self, field: FieldDescriptor, target: Target) -> Sequence[Any]:
        """What each class is in this field: the value of an enum, its name, or its number. Raises ModelMismatch."""
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
            return target.classes
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            found = match_labels(enum_of(field), target.classes, self._contract.options)
            for name in found.without_value:
                hint = did_you_mean_value(name, found.without_label)
                reason = f"the model's class {name!r} has no value in {enum_of(field).name}{hint}"
                fix = f"add a value that is named so, or says (foretell.v1.label) = {quoted(name)}"
                self._problems.append(error(enum_of(field).full_name, reason, fix))
            return [found.numbers.get(name, 0) for name in target.classes]
        numbers = integers(target)
        if field.cpp_type in WHOLE and numbers is not None:
            return numbers
        reason = f"{field.full_name} cannot hold a label such as {target.classes[0]!r}"
        raise misfit(field.full_name, reason, "make it an enum or a string")

    def _several(self, field: FieldDescriptor, asked: FieldSource) -> Part:
        outputs, names = self._outputs_of(field, asked)
        self._all_told = self._all_told or asked.kind == "probability"
        if is_map(field):
            key, value = map_entry(field)
            if value.cpp_type not in FLOATS or key.cpp_type != FieldDescriptor.CPPTYPE_STRING:
                raise misfit(field.full_name, f"{field.full_name} is not a map of strings to doubles or floats", "declare it so")
            return Part(field.name, outputs, lambda row: dict(zip(names, row, strict=True)))
        if field.message_type is not None:
            return self._ranking(field, asked, outputs)
        if field.cpp_type not in FLOATS or asked.kind == "label":
            reason = f"{field.full_name} cannot hold the model's {asked.kind}"
            raise misfit(field.full_name, reason, "repeat doubles or floats for numbers")
        return Part(field.name, outputs, list)

    def _outputs_of(self, field: FieldDescriptor, asked: FieldSource) -> tuple[tuple[Output, ...], list[str]]:
        """All outputs of a kind, with the key of each in a map: one for each target where there are several, else for each item."""
        targets = list(enumerate(self._targets))
        names = [target.name for target in self._targets]
        if len(targets) > 1 and asked.kind == "value":
            return tuple(self._offer(field, Output("value", 0, place)) for place, _ in targets), names
        if len(targets) > 1 and asked.kind == "probability" and all(target.positive is not None for _, target in targets):
            return tuple(self._offer(field, Output("probability", target.positive or 0, place)) for place, target in targets), names
        outputs = self._all(field, asked.kind, asked.target)
        classes = self._targets[asked.target].classes if asked.kind == "probability" else ()
        return outputs, [classes[output.item] if classes else str(output.item) for output in outputs]

    def _ranking(self, field: FieldDescriptor, asked: FieldSource, outputs: tuple[Output, ...]) -> Part:
        """Messages of a label and its probability, the likeliest first; of equal ones in the order of the classes."""
        fields = [each for each in message_of(field).fields if not each.is_repeated and each.message_type is None]
        numbers = [each for each in fields if each.cpp_type in FLOATS]
        labels = [each for each in fields if each.cpp_type not in FLOATS]
        if asked.kind != "probability" or (len(numbers), len(labels), len(message_of(field).fields)) != (1, 1, 2):
            reason = f"{field.full_name} repeats {message_of(field).name}: it must be a label and its probability, no more"
            raise misfit(field.full_name, reason, "take all other fields out of that message")
        words = self._spelling(labels[0], self._targets[asked.target])
        label, probability = labels[0].name, numbers[0].name

        def ranked(row: Sequence[float]) -> list[dict[str, Any]]:
            order = sorted(range(len(row)), key=lambda place: -row[place])
            return [{label: words[place], probability: row[place]} for place in order]

        return Part(field.name, outputs, ranked)

    def _all(self, field: FieldDescriptor, kind: str, target: int) -> tuple[Output, ...]:
        found = tuple(output for output in self._offered if output.kind == kind and output.target == target)
        return found or (self._offer(field, Output(kind, 0, target)),)

    def _offer(self, field: FieldDescriptor, output: Output) -> Output:
        """The output, which the model gives. Raises ModelMismatch where it does not."""
        if output in self._offered:
            return output
        count = sum(each.kind == output.kind for each in self._offered)
        gives = f"{count} of the kind {output.kind}, counted from 0, and no number {output.item}" if count else f"no {output.kind}"
        kinds = ", ".join(dict.fromkeys(each.kind for each in self._offered))
        reason = f"nothing fills {field.full_name}: the model gives {gives}; it gives {kinds}"
        raise misfit(field.full_name, reason, "take it out, or say with (foretell.v1.output) which of these it is")

    def _own(self, field: FieldDescriptor, output: Output) -> None:
        if output.kind != "probability":
            return
        if output in self._owners:
            name = self._targets[output.target].classes[output.item]
            reason = f"{field.full_name} and {self._owners[output]} are both bound to {name!r}"
            raise misfit(field.full_name, reason, "take one of them out")
        self._owners[output] = field.name

    def _check_classes(self, message: Descriptor) -> None:
        """Where some classes have a field of their own, all must, unless another field tells all of them."""
        if len(self._targets) > 1 or self._all_told or not self._some_told:
            return
        classes = enumerate(self._targets[0].classes)
        for item, name in classes:
            if Output("probability", item) not in self._owners and name not in self._asking.meant:
                reason = f"the model's class {name!r} has no <class>{PROBABILITY_SUFFIX} field in {message.full_name}"
                fix = f"add one, or say (foretell.v1.output).probability_of = {quoted(name)}"
                self._problems.append(error(message.full_name, reason, fix))


def _is_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.is_repeated
