"""The fields of a contract's response, drafted from what a model can say of a row."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from foretell.check.training_range import FIELD
from foretell.init.draft_features import FEW, Enum, Scope, said
from foretell_contract.labels import PROBABILITY_SUFFIX
from foretell_contract.source.proto_text import Line, Option, number_text, quoted
from foretell_contract.source.spelling import Names, snake
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import OUTLIER_CLASSES, Target, integer_classes, output_name
from grpc_server.store.manifest import Scalar

_OUTPUT = "(foretell.v1.output)"

_NUMBERS = {
    "value": "The number that the model predicts.",
    "std": "Standard deviation of the value.",
    "lower": "Lower end of the interval around the value.",
    "upper": "Upper end of the interval around the value.",
    "score": "How usual the row is: the lower, the more of an outlier.",
}

_LISTS = {
    "decision": ("decisions", "On which side of each border the row lies, and how far."),
    "distance": ("distances", "How far the row is from the centre of each cluster, in their order."),
    "component": ("components", "What the model makes of the row, in its order."),
    "probability": ("probabilities", "How likely the row belongs to each of the clusters, in their order."),
}


@dataclass
class Response:
    """The fields of a response, in order, and the enums that they need."""

    lines: list[Line] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    classes: dict[str, Line] = field(default_factory=dict)
    """The field of the probability of each class, for a model of one target."""


def response(model: ModelDescription, called: str, shown: dict[str, str], scope: Scope) -> Response:
    """The response of a model. `called` is what a classifier tells apart; `shown` are other names for its classes."""
    draft = _Draft(model, called, shown, scope)
    for place, target in enumerate(model.targets):
        draft.of_target(place, target)
    return draft.made


class _Draft:
    def __init__(self, model: ModelDescription, called: str, shown: dict[str, str], scope: Scope) -> None:
        self.made = Response()
        self._model, self._called, self._shown, self._scope = model, called, shown, scope
        self._names = Names()

    def of_target(self, place: int, target: Target) -> None:
        given = [output for output in self._model.outputs if output.target == place]
        kinds = list(dict.fromkeys(output.kind for output in given))
        if "label" in kinds:
            self._label(place, target)
        if "cluster" in kinds:
            self._add("Number of the cluster that the row belongs to, counted from 0.", "uint32", "cluster")
        if "probability" in kinds and target.classes:
            self._probabilities(place, target)
        for kind in _NUMBERS:
            if kind in kinds:
                self._number(Output(kind, 0, place), target)
        for kind in _LISTS:
            if kind in kinds and not (kind in ("probability", "decision") and target.classes and "probability" in kinds):
                self._list(kind, [output for output in given if output.kind == kind])

    def _add(self, comment: str, kind: str, name: str, *options: Option) -> None:
        name = self._names.take(name)
        self.made.lines.append(Line(comment, f"{kind} {name} = {len(self.made.lines) + 1}", options))

    def _label(self, place: int, target: Target) -> None:
        name = snake(target.name or self._called or "label", "label")
        answer = self._model.answer.get(output_name(Output("label", 0, place), self._model.targets))
        kind = self._spelling(target)
        if kind == "enum":
            self._labels_enum(name, {label: self._shown.get(label, label) for label in target.classes}, answer)
            return
        of = f" of {target.name}" if target.name else ""
        comment = f"The class{of} that the model predicts."
        shown = quoted(str(answer)) if kind == "string" else str(answer)
        if kind == "bool":
            comment = f"Whether the model predicts {target.name or self._called or 'yes'}."
            shown = str(target.positive is not None and answer == target.classes[target.positive]).lower()
        example = [(f"{FIELD}.{kind}.example", shown)] if answer is not None else []
        self._add(comment, kind, name, *self._about(target, name, "LABEL"), *example)

    def _spelling(self, target: Target) -> str:
        """The type of a label: the simplest that can hold every class."""
        if self._shown or target.classes == OUTLIER_CLASSES:
            return "enum" if len(target.classes) <= FEW else "string"
        if target.positive is not None and (target.name or not integer_classes(target)):
            return "bool"
        if all(abs(each) < 2**31 for each in integer_classes(target) or (2**31,)):
            return "int32"
        return "enum" if len(target.classes) <= FEW else "string"

    def _labels_enum(self, name: str, shown: dict[str, str], answer: Scalar | None) -> None:
        enum = self._scope.enum(name, f"{said(name)} is what the model tells apart.", shown)
        self.made.enums.append(enum)
        example = [enum.example(str(answer))] if answer is not None else []
        self._add(f"The {name.replace('_', ' ')} that the model predicts.", enum.name, name, *enum.rules, *example)

    def _probabilities(self, place: int, target: Target) -> None:
        if len(target.classes) > FEW:
            named = [] if not target.name else [(f"{_OUTPUT}.quantity", "QUANTITY_PROBABILITY"), *_of(target)]
            name = snake(f"{target.name} probabilities", "of")
            self._add("The probability of each class, by its name. They sum to 1.", "map<string, double>", name, *named)
            return
        if target.name and target.positive is not None:
            self._probability(Output("probability", target.positive, place), target, snake(target.name, "of"), target.name)
            return
        for item, label in enumerate(target.classes):
            shown = self._shown.get(label, label)
            name = snake(f"{target.name} {shown}", "class")
            self._probability(Output("probability", item, place), target, name, self._told(target, shown))

    def _probability(self, output: Output, target: Target, name: str, about: str) -> None:
        label = target.classes[output.item]
        evident = name == (target.name if target.positive is not None and target.name else label)
        options = [] if evident else [(f"{_OUTPUT}.probability_of", quoted(label)), *_of(target)]
        rules = [(f"{FIELD}.double.gte", "0"), (f"{FIELD}.double.lte", "1")]
        self._add(f"Probability of {about}.", "double", f"{name}{PROBABILITY_SUFFIX}", *options, *rules, *self._example(output))
        self.made.classes[label] = self.made.lines[-1]

    def _told(self, target: Target, shown: str) -> str:
        """A class in words: with what it is a class of, where its own name, such as `yes` or `3`, says little."""
        of = target.name or (self._called if target.positive is not None or integer_classes(target) else "")
        return f"{shown} for {of}" if of and shown != of else shown

    def _number(self, output: Output, target: Target) -> None:
        name = output.kind if not target.name else target.name if output.kind == "value" else f"{target.name} {output.kind}"
        comment = _NUMBERS[output.kind]
        comment = comment.replace("the value", target.name).replace("The number", f"The {target.name}") if target.name else comment
        if output.kind == "value" and self._called and not target.name:
            comment = f"The {self._called.replace('_', ' ')} that the model predicts."
        written = snake(name, "target")
        told = [] if not target.name or written == name else self._about(target, "", output.kind.upper())
        self._add(comment, "double", written, *told, (f"{FIELD}.double.finite", "true"), *self._example(output))

    def _list(self, kind: str, given: list[Output]) -> None:
        name, comment = _LISTS[kind]
        if len(given) == 1 and kind == "decision":
            comment = "On which side of the border the row lies, and how far."
            self._add(comment, "double", kind, (f"{FIELD}.double.finite", "true"), *self._example(given[0]))
            return
        count = str(len(given))
        rules = [(f"{FIELD}.repeated.min_items", count), (f"{FIELD}.repeated.max_items", count)]
        self._add(comment, "repeated double", name, *rules)

    def _example(self, output: Output) -> list[Option]:
        answer = self._model.answer.get(output_name(output, self._model.targets))
        return [(f"{FIELD}.double.example", number_text(_short(float(answer))))] if answer is not None else []

    def _about(self, target: Target, name: str, quantity: str) -> list[Option]:
        """The option that says what the field holds; nothing where its name does."""
        if (target.name and name == target.name) or (not target.name and name == quantity.lower()):
            return []
        return [(f"{_OUTPUT}.quantity", f"QUANTITY_{quantity}"), *_of(target)]


def _of(target: Target) -> Iterator[Option]:
    if target.name:
        yield f"{_OUTPUT}.target", quoted(target.name)


def _short(value: float) -> float:
    """Two digits are enough for an example."""
    return float(f"{value:.2g}")
