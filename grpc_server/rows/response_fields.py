"""Resolves which outputs a response field holds: by `(foretell.v1.output)`, or else by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from foretell_contract.contract import Contract
from foretell_contract.fields import TYPE_NAMES, is_map
from foretell_contract.labels import PROBABILITY_SUFFIX, probability_class
from foretell_contract.problem import Problem, error
from foretell_contract.source.proto_text import quoted
from foretell_contract.source.spelling import closest, did_you_mean
from grpc_server.errors import ModelMismatch, field_mismatch
from grpc_server.rows.outputs import KINDS, Output
from grpc_server.rows.targets import Target

NO_CLASS = -1
"""In place of the index of a class that the model does not have; the problem is already recorded."""

_PLURALS = {
    "probabilities": "probability",
    "values": "value",
    "labels": "label",
    "decisions": "decision",
    "distances": "distance",
    "components": "component",
}
COUNTED = ("distance", "component", "decision")
"""Kinds of which a model may have several for one target, counted from 0."""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """The outputs that a field holds."""

    kind: str
    target: int = 0
    item: int | None = None
    """Index among several; None for all, or for the only one."""
    label: int | None = None
    """Index of the class for which a bool is true."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of a response, as far as its name may say which outputs it holds."""

    name: str
    kind: str = ""
    """Such as "double", "enum", "bool" or "message"; a map is a "map"."""
    repeated: bool = False

    @classmethod
    def of(cls, field: FieldDescriptor) -> "FieldShape":
        """The shape of a field."""
        return cls(str(field.name), "map" if is_map(field) else TYPE_NAMES[field.type], field.is_repeated)


def source_by_name(
    shape: FieldShape, targets: Sequence[Target], kinds: Sequence[str], target: int | None = None
) -> FieldSource | None:
    """The outputs that a field holds by its name alone, of a model with these targets and kinds of outputs; None for none.

    `target` is that of the message around the field, if any.
    """
    name, index = shape.name, target or 0
    if shape.repeated:
        is_ranking = shape.kind == "message" and targets[index].classes
        kind = _PLURALS.get(name) or ("probability" if is_ranking else None)
        return FieldSource(kind, index) if kind else None
    if name in KINDS:
        return FieldSource(name, index, 0 if name in COUNTED else None)
    if probability_class(name) and "probability" in kinds:
        return _probability(probability_class(name), targets, target)
    return _of_target(name, targets) or _label(shape, targets[index].classes, index)


def _probability(name: str, targets: Sequence[Target], target: int | None) -> FieldSource | None:
    """`<class>_probability`; with several targets `<target>_probability` or `<target>_<class>_probability`."""
    if len(targets) == 1 or target is not None:
        item = _class_index(name, targets[target or 0].classes)
        return FieldSource("probability", target or 0, NO_CLASS if item is None else item)
    for index, each in enumerate(targets):
        if name == each.name:
            return FieldSource("probability", index, each.positive)  # Without a class that means yes: that of the label.
        prefix = f"{each.name}_"
        item = _class_index(name.removeprefix(prefix), each.classes) if name.startswith(prefix) else None
        if item is not None:
            return FieldSource("probability", index, item)
    return None


def _of_target(name: str, targets: Sequence[Target]) -> FieldSource | None:
    """The name of a target, alone or with a kind of output: `height`, `height_std`."""
    for index, target in enumerate(targets):
        if not target.name:
            continue
        if name == target.name:
            return FieldSource("label" if target.classes else "value", index)
        kind = name.removeprefix(f"{target.name}_")
        if name != kind and kind in KINDS:
            return FieldSource(kind, index)
    return None


def _label(shape: FieldShape, classes: Sequence[str], target: int) -> FieldSource | None:
    """An enum of any name holds the label; a bool with the name of a class is true if that is the label."""
    if classes and shape.kind == "enum":
        return FieldSource("label", target)
    if classes and shape.kind == "bool":
        item = _class_index(shape.name.removeprefix("is_"), classes)
        return FieldSource("label", target, label=item) if item is not None else None
    return None


class FieldResolver:
    """Resolves the fields of a response against the targets and outputs of a model."""

    def __init__(self, contract: Contract, targets: Sequence[Target], outputs: Sequence[Output], problems: list[Problem]) -> None:
        """Appends every class that the model does not have to `problems`."""
        self._contract = contract
        self._targets = targets
        self._names = [target.name for target in targets if target.name]
        self._kinds = tuple(dict.fromkeys(output.kind for output in outputs))
        self._problems = problems
        self.suggested: set[str] = set()
        """Classes suggested as the correct spelling of a field."""

    def of(self, field: FieldDescriptor, target: int | None) -> FieldSource:
        """The outputs of a field; `target` is the target of the message around it, if any.

        Raises ModelMismatch if no output matches.
        """
        output = self._contract.options.get(field, "foretell.v1.output")
        source = self._by_name(field, target) if output is None else self._by_option(field, output, target)
        if source is None:
            raise self._no_output(field)
        return source

    def _no_output(self, field: FieldDescriptor) -> ModelMismatch:
        if field.name in _PLURALS:
            reason = f"{field.full_name} is a single value, but a model has several {field.name}"
            return field_mismatch(field.full_name, reason, "declare it as repeated or as a map")
        usual = " or ".join(f"<class>{PROBABILITY_SUFFIX}" if kind == "probability" else kind for kind in self._kinds)
        hint = did_you_mean(field.name, [*self._names, *self._kinds, *_PLURALS])
        reason = f"no output of the model matches {field.full_name}{hint}"
        return field_mismatch(field.full_name, reason, f"rename it to {usual}, or set (foretell.v1.output)")

    def _by_option(self, field: FieldDescriptor, output: Any, target: int | None) -> FieldSource | None:
        index = self._target_index(field, output.target) if output.target else target or 0
        if output.WhichOneof("kind") == "probability_of":
            return FieldSource("probability", index, self._class(field, index, output.probability_of, "probability_of"))
        if output.WhichOneof("kind") == "label_is":
            return FieldSource("label", index, label=self._class(field, index, output.label_is, "label_is"))
        quantity = output.DESCRIPTOR.fields_by_name["quantity"].enum_type.values_by_number[output.quantity]
        kind = quantity.name.removeprefix("QUANTITY_").lower()
        if kind not in KINDS:
            return self._by_name(field, index)
        return FieldSource(kind, index, output.item if kind in COUNTED and not field.is_repeated else None)

    def _target_index(self, field: FieldDescriptor, name: str) -> int:
        if name in self._names:
            return self._names.index(name)
        reason = f"{field.full_name} names the target {name!r}, which the model does not have{did_you_mean(name, self._names)}"
        fix = f"name one of {', '.join(self._names)}" if self._names else "remove the target: the model has only one"
        raise field_mismatch(field.full_name, reason, fix)

    def _class(self, field: FieldDescriptor, target: int, name: str, option: str) -> int:
        classes = self._targets[target].classes
        return classes.index(name) if name in classes else self._no_class(field, name, classes, option)

    def _no_class(self, field: FieldDescriptor, name: str, classes: Sequence[str], option: str = "probability_of") -> int:
        meant = closest(name, classes)
        self.suggested.add(meant)
        hint = f'; did you mean "{meant}"?' if meant else ""
        listed = ", ".join(classes[:5]) + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")
        fix = f"name it after one of {listed}, or set (foretell.v1.output)" if classes else "remove it"
        if meant:
            fix = f"name it after that class, or set (foretell.v1.output).{option} = {quoted(meant)}"
        self._problems.append(error(field.full_name, f"{field.full_name} matches no class of the model{hint}", fix))
        return NO_CLASS

    def _by_name(self, field: FieldDescriptor, target: int | None) -> FieldSource | None:
        source = source_by_name(FieldShape.of(field), self._targets, self._kinds, target)
        if source is not None and source.item == NO_CLASS:
            self._no_class(field, probability_class(str(field.name)), self._targets[source.target].classes)
        return source


def _class_index(name: str, classes: Sequence[str]) -> int | None:
    """The index of the class with this name, or else of the only class that is so in snake case."""
    if name in classes:
        return classes.index(name)
    found = [index for index, each in enumerate(classes) if _snake(each) == name]
    return found[0] if len(found) == 1 else None


def _snake(name: str) -> str:
    return "".join(c.lower() if c.isalnum() else "_" for c in name).strip("_")
