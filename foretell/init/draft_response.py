"""Drafts the fields of `Response` from the outputs of a model."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from foretell.check.training_range import FIELD
from foretell.init.draft_features import ENUM_RULES, FEW, DraftedEnum, PackageNames, sentence_case
from foretell_contract.labels import PROBABILITY_SUFFIX
from foretell_contract.source.proto_text import Line, Option, number_text, quoted
from foretell_contract.source.spelling import Names, snake
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.rows.outputs import Output
from grpc_server.rows.response_fields import COUNTED, FieldShape, FieldSource, source_by_name
from grpc_server.rows.targets import OUTLIER_CLASSES, Target, integer_classes, output_name

_OUTPUT = "(foretell.v1.output)"

_NUMBERS = {
    "value": "The number that the model predicts.",
    "std": "Standard deviation of the value.",
    "lower": "Lower end of the interval around the value.",
    "upper": "Upper end of the interval around the value.",
    "score": "Anomaly score: the lower, the more unusual the row.",
    "decision": "Decision function of the model: its sign is the side of the boundary on which the row lies.",
}

_NEARLY_ALL = 0.9
"""Share of the rows in which the largest of several decision values must be that of the label, so that each is for one class."""

_WITH_ZERO = ("double", "int32", "uint32", "bool")
"""Types whose zero is an answer. They are drafted as `optional`, because protobuf's JSON leaves out the zeros of other fields."""

_LISTS = {
    "decision": ("decisions", "Decision function of the model: the sign of each is the side of a boundary on which the row lies."),
    "distance": ("distances", "Distance of the row from the centre of each cluster, in the order of their numbers from 0."),
    "component": ("components", "Components that the model computes from the row, in its order."),
    "probability": ("probabilities", "Probability that the row belongs to each cluster, in the order of their numbers from 0."),
}


def finds_outliers(model: ModelDescription) -> bool:
    """Whether the model tells unusual rows from usual ones."""
    return any(output.kind == "score" for output in model.outputs)


class ResponseDraft:
    """The fields of a response, in order, and their enums."""

    def __init__(self, model: ModelDescription, target_name: str, class_names: dict[str, str], package: PackageNames) -> None:
        """`target_name` names the only target of `model`; `class_names` has other names for its classes."""
        self._model, self._target_name, self._class_names, self._package = model, target_name, class_names, package
        self._kinds = tuple(dict.fromkeys(output.kind for output in model.outputs))
        self._names = Names()
        self.lines: list[Line] = []
        self.enums: list[DraftedEnum] = []
        for index, target in enumerate(model.targets):
            self._add_target(index, target)

    def _add_target(self, index: int, target: Target) -> None:
        outputs = [output for output in self._model.outputs if output.target == index]
        kinds = {output.kind for output in outputs}
        by_class = bool(target.classes) and "probability" in kinds
        if "label" in kinds:
            self._label(index, target)
        if "cluster" in kinds:
            comment = "Number of the cluster that the row belongs to, counted from 0."
            self._add(FieldSource("cluster", index), comment, "uint32", "cluster")
        if by_class:
            self._probabilities(index, target)
        for kind in dict.fromkeys((*_NUMBERS, *_LISTS)):
            held = [output for output in outputs if output.kind == kind]
            if not held or (by_class and kind in ("probability", "decision")):
                continue
            if kind in _NUMBERS and len(held) == 1:
                self._number(held[0], target)
            else:
                self._list(kind, held)

    def _add(self, source: FieldSource, comment: str, kind: str, name: str, *rules: Option) -> None:
        self.lines.append(self.line(source, comment, kind, self._names.take(name), len(self.lines) + 1, *rules))

    def line(self, source: FieldSource, comment: str, kind: str, name: str, number: int, *rules: Option) -> Line:
        """A field that holds these outputs, with the option `output` unless its name, which is final, says so."""
        enums = {enum.name for enum in self.enums}
        shape = FieldShape(name, "enum" if kind in enums else kind.partition("<")[0], kind.startswith(("repeated ", "map<")))
        target = self._model.targets[source.target]
        said = source_by_name(shape, self._model.targets, self._kinds) == source
        if source.kind == "probability" and source.item is not None:  # In snake case another class may be the same.
            said = said and name.removesuffix(PROBABILITY_SUFFIX) in (target.name, target.classes[source.item])
        presence = "optional " if kind in _WITH_ZERO else ""
        options = [(f"{FIELD}.required", "true")] if presence else []
        options += [] if said else _option(source, target)
        return Line(comment, f"{presence}{kind} {name} = {number}", (*options, *rules))

    def _label(self, index: int, target: Target) -> None:
        source, name = FieldSource("label", index), snake(target.name or self._target_name or "label", "label")
        answer, kind = self._answer(Output("label", 0, index)), self._label_type(target)
        comment = f"The class{f' of {target.name}' if target.name else ''} that the model predicts."
        rules: list[Option] = []
        if kind == "enum":
            about = f"{sentence_case(name)}: the classes that the model predicts."
            enum = self._package.enum(name, about, {label: self._name_of(target, label) for label in target.classes})
            self.enums.append(enum)
            kind, comment, rules = enum.name, f"The {name.replace('_', ' ')} that the model predicts.", ENUM_RULES
            example = enum.example(str(answer)) if answer is not None else None
        elif kind == "bool":
            comment = f"Whether the model predicts {target.name or self._target_name or 'yes'}."
            example = (
                f"{FIELD}.bool.example",
                str(target.positive is not None and answer == target.classes[target.positive]).lower(),
            )
        else:
            example = f"{FIELD}.{kind}.example", quoted(str(answer)) if kind == "string" else str(answer)
        self._add(source, comment, kind, name, *rules, *([example] if example and answer is not None else []))

    def _label_type(self, target: Target) -> str:
        """The type of a label: the simplest that can hold every class."""
        if self._class_names or target.classes == OUTLIER_CLASSES:
            return "enum" if len(target.classes) <= FEW else "string"
        text_of_a_number = target.class_type == "text" and not target.classes[-1].isalpha()
        if target.positive is not None and not text_of_a_number and (target.name or not target.has_integer_classes):
            return "bool"
        if target.has_integer_classes and all(abs(each) < 2**31 for each in integer_classes(target) or (2**31,)):
            return "int32"
        return "enum" if len(target.classes) <= FEW else "string"

    def _probabilities(self, index: int, target: Target) -> None:
        if len(target.classes) > FEW:
            name = snake(f"{target.name} probabilities", "of")
            comment = "The probability of each class, by its name. They sum to 1."
            self._add(FieldSource("probability", index), comment, "map<string, double>", name)
            return
        positive = target.positive if target.name else None
        for item in range(len(target.classes)) if positive is None else (positive,):
            name = self.probability_name(target, item)
            self.lines.append(self.probability(index, item, self._names.take(name), len(self.lines) + 1))

    def probability_name(self, target: Target, item: int) -> str:
        """The name of the field with the probability of a class, unless it is taken."""
        if target.name and target.positive is not None:
            return snake(target.name, "of") + PROBABILITY_SUFFIX
        label = self._name_of(target, target.classes[item])
        return snake(f"{target.name} {label}" if target.name else label, "class") + PROBABILITY_SUFFIX

    def probability(self, index: int, item: int, name: str, number: int) -> Line:
        """The field of this name and number with the probability of a class."""
        target = self._model.targets[index]
        about = target.name if target.name and target.positive is not None else self._in_words(target, target.classes[item])
        rules = [(f"{FIELD}.double.gte", "0"), (f"{FIELD}.double.lte", "1"), *self._example(Output("probability", item, index))]
        return self.line(FieldSource("probability", index, item), f"Probability of {about}.", "double", name, number, *rules)

    def _name_of(self, target: Target, label: str) -> str:
        """The name of a class for callers."""
        whole = target.class_type == "number" and label.endswith(".0")
        return self._class_names.get(label, label.removesuffix(".0") if whole else label)

    def _in_words(self, target: Target, label: str) -> str:
        """The class, with its target if the name alone says little, such as `yes` or `3`."""
        name = self._name_of(target, label)
        of = target.name or (self._target_name if target.positive is not None or integer_classes(target) else "")
        name = name or "the empty text"
        return f"{name} for {of}" if of and name != of else name

    def _number(self, output: Output, target: Target) -> None:
        name = output.kind if not target.name else target.name if output.kind == "value" else f"{target.name} {output.kind}"
        comment = _NUMBERS[output.kind]
        comment = comment.replace("the value", target.name).replace("The number", f"The {target.name}") if target.name else comment
        if output.kind == "value" and self._target_name and not target.name:
            comment = f"The {self._target_name.replace('_', ' ')} that the model predicts."
        rules = [(f"{FIELD}.double.finite", "true"), *self._example(output)]
        source = FieldSource(output.kind, output.target, 0 if output.kind in COUNTED else None)
        self._add(source, comment, "double", snake(name, "target"), *rules)

    def _list(self, kind: str, outputs: list[Output]) -> None:
        name, comment = _LISTS[kind]
        target = outputs[0].target
        count = str(len(outputs))
        comment += self._order(target, len(outputs)) if kind == "decision" else ""
        rules = [(f"{FIELD}.repeated.min_items", count), (f"{FIELD}.repeated.max_items", count)]
        self._add(FieldSource(kind, target), comment, "repeated double", name, *rules)

    def _order(self, index: int, count: int) -> str:
        """What each of several decision values is for, if that is certain and the classes are few."""
        classes = self._model.targets[index].classes
        pairs = [" or ".join(pair) for pair in combinations(classes, 2)]
        if not classes or len(classes) > FEW or (count == len(classes) == len(pairs) and not self._largest_decides(index)):
            return ""
        if count == len(classes):
            return f" One for each class, in this order: {', '.join(classes)}."
        return f" One for each pair of classes, in this order: {', '.join(pairs)}." if count == len(pairs) else ""

    def _largest_decides(self, index: int) -> bool:
        """Whether the label has the largest decision value in nearly every row of the data."""
        asked = self._model.asked
        if asked is None:
            return False
        places = [place for place, output in enumerate(asked.outputs) if output.kind == "decision" and output.target == index]
        labels = asked.answers[:, asked.outputs.index(Output("label", 0, index))]
        return bool(np.mean(asked.answers[:, places].argmax(1) == labels) > _NEARLY_ALL)

    def _example(self, output: Output) -> list[Option]:
        answer = self._answer(output)
        # Two digits are enough for an example.
        return [(f"{FIELD}.double.example", number_text(float(f"{float(answer):.2g}")))] if answer is not None else []

    def _answer(self, output: Output) -> Any:
        return self._model.answer.get(output_name(output, self._model.targets))


def _option(source: FieldSource, target: Target) -> Iterator[Option]:
    """The option `output` for a field that holds these outputs."""
    if source.kind == "probability" and source.item is not None:
        yield f"{_OUTPUT}.probability_of", quoted(target.classes[source.item])
    else:
        yield f"{_OUTPUT}.quantity", f"QUANTITY_{source.kind.upper()}"
    if source.item and source.kind in COUNTED:
        yield f"{_OUTPUT}.item", str(source.item)
    if target.name:
        yield f"{_OUTPUT}.target", quoted(target.name)
