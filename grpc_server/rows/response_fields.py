"""What a field of a response is to hold: by `(foretell.v1.output)`, else by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from foretell_contract.contract import Contract
from foretell_contract.fields import is_map
from foretell_contract.labels import PROBABILITY_SUFFIX, probability_class
from foretell_contract.problem import Problem, error
from foretell_contract.source.proto_text import quoted
from foretell_contract.source.suggestion import closest, did_you_mean
from grpc_server.errors import misfit
from grpc_server.rows.class_names import Target
from grpc_server.rows.outputs import KINDS, Output

UNKNOWN = -1
"""An item that is no class of the model, which has been said."""

_PLURALS = {
    "probabilities": "probability",
    "values": "value",
    "labels": "label",
    "decisions": "decision",
    "distances": "distance",
    "components": "component",
}
_COUNTED = ("distance", "component", "decision")
"""Kinds of which a model may give several for one target, counted from 0."""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """What a field is to hold."""

    kind: str
    target: int = 0
    item: int | None = None
    """Which of several; None for all, or for the only one."""
    label: int | None = None
    """The class that a bool asks about."""


class FieldResolver:
    """Reads the fields of a response to a model with these targets that offers these outputs."""

    def __init__(self, contract: Contract, targets: Sequence[Target], offered: Sequence[Output], problems: list[Problem]) -> None:
        """What is wrong with a class goes to `problems`, so that all of it is said at once."""
        self._contract = contract
        self._targets = targets
        self._names = [target.name for target in targets if target.name]
        self._kinds = tuple(dict.fromkeys(output.kind for output in offered))
        self._problems = problems
        self.meant: set[str] = set()
        """Classes that misspelt fields seem to mean."""

    def of(self, field: FieldDescriptor, target: int | None) -> FieldSource:
        """`target` is that of the message around the field, if that has one. Raises ModelMismatch for what nothing fills."""
        output = self._contract.options.get(field, "foretell.v1.output")
        asked = self._by_name(field, target) if output is None else self._by_option(field, output, target)
        if asked is None:
            usual = " or ".join(f"<class>{PROBABILITY_SUFFIX}" if kind == "probability" else kind for kind in self._kinds)
            if field.name in _PLURALS:
                reason = f"{field.full_name} is a single value, but {field.name} are several"
                raise misfit(field.full_name, reason, "repeat it, or declare it as a map")
            hint = did_you_mean(field.name, [*self._names, *self._kinds, *_PLURALS])
            reason = f"nothing fills {field.full_name}{hint}"
            raise misfit(field.full_name, reason, f"name it {usual}, or give it (foretell.v1.output)")
        return asked

    def _by_option(self, field: FieldDescriptor, output: Any, target: int | None) -> FieldSource | None:
        place = target or 0
        if output.target:
            if output.target not in self._names:
                reason = f"{field.full_name}: {output.target!r} is no target of the model{did_you_mean(output.target, self._names)}"
                fix = f"name one of {', '.join(self._names)}" if self._names else "leave the target out: the model has only one"
                raise misfit(field.full_name, reason, fix)
            place = self._names.index(output.target)
        if output.WhichOneof("kind") == "probability_of":
            return FieldSource("probability", place, self._class(field, place, output.probability_of, "probability_of"))
        if output.WhichOneof("kind") == "label_is":
            return FieldSource("label", place, label=self._class(field, place, output.label_is, "label_is"))
        quantity = output.DESCRIPTOR.fields_by_name["quantity"].enum_type.values_by_number[output.quantity]
        kind = quantity.name.removeprefix("QUANTITY_").lower()
        if kind not in KINDS:
            return self._by_name(field, place)
        return FieldSource(kind, place, output.item if kind in _COUNTED and not field.is_repeated else None)

    def _class(self, field: FieldDescriptor, target: int, name: str, option: str) -> int:
        classes = self._targets[target].classes
        if name in classes:
            return classes.index(name)
        self._no_class(field, name, classes, option)
        return UNKNOWN

    def _no_class(self, field: FieldDescriptor, name: str, classes: Sequence[str], option: str = "probability_of") -> None:
        meant = closest(name, classes)
        self.meant.add(meant)
        hint = f'; did you mean "{meant}"?' if meant else ""
        fix = f"name it after one of {_listed(classes)}, or say which with (foretell.v1.output)" if classes else "take it out"
        if meant:
            fix = f"name it after that class, or say (foretell.v1.output).{option} = {quoted(meant)}"
        self._problems.append(error(field.full_name, f"{field.full_name} is no class of the model{hint}", fix))

    def _by_name(self, field: FieldDescriptor, target: int | None) -> FieldSource | None:
        name, place = str(field.name), target or 0
        if field.is_repeated:
            listed = field.message_type is not None and not is_map(field) and self._targets[place].classes
            kind = _PLURALS.get(name) or ("probability" if listed else None)
            return FieldSource(kind, place) if kind else None
        if name in KINDS:
            return FieldSource(name, place, 0 if name in _COUNTED else None)
        if probability_class(name) and "probability" in self._kinds:
            return self._probability(field, probability_class(name), target)
        return self._of_target(name) or self._label(field, name, place)

    def _probability(self, field: FieldDescriptor, name: str, target: int | None) -> FieldSource | None:
        """`<class>_probability`, or of several targets `<target>_probability` and `<target>_<class>_probability`."""
        if len(self._targets) == 1 or target is not None:
            classes = self._targets[target or 0].classes
            item = _one_like(name, classes)
            if item is None:
                self._no_class(field, name, classes)
            return FieldSource("probability", target or 0, UNKNOWN if item is None else item)
        for place, each in enumerate(self._targets):
            if name == each.name:
                return FieldSource("probability", place, each.positive)  # Of a target that is no yes or no: that of its label.
            item = _one_like(name.removeprefix(f"{each.name}_"), each.classes) if name.startswith(f"{each.name}_") else None
            if item is not None:
                return FieldSource("probability", place, item)
        return None

    def _of_target(self, name: str) -> FieldSource | None:
        """Named like a target, alone or with what is asked of it: `height`, `height_std`."""
        for place, each in enumerate(self._names):
            target = self._targets[place]
            if name == each:
                return FieldSource("label" if target.classes else "value", place)
            kind = name.removeprefix(f"{each}_")
            if name != kind and kind in KINDS:
                return FieldSource(kind, place)
        return None

    def _label(self, field: FieldDescriptor, name: str, target: int) -> FieldSource | None:
        """An enum is the label, whatever its name; a bool that is named like a class asks whether the label is that class."""
        classes = self._targets[target].classes
        if classes and field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return FieldSource("label", target)
        if classes and field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            item = _one_like(name.removeprefix("is_"), classes)
            return FieldSource("label", target, label=item) if item is not None else None
        return None


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _one_like(name: str, classes: Sequence[str]) -> int | None:
    """The class of this name: as it is, else as a name in a contract can spell it."""
    if name in classes:
        return classes.index(name)
    found = [place for place, each in enumerate(classes) if _snake(each) == name]
    return found[0] if len(found) == 1 else None


def _snake(name: str) -> str:
    return "".join(c.lower() if c.isalnum() else "_" for c in name).strip("_")
