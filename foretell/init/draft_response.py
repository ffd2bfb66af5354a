"""Drafts the fields of `Response` from the outputs of a model."""

from collections.abc import Iterator

from foretell.check.training_range import FIELD
from foretell.init.draft_features import ENUM_RULES, FEW, DraftedEnum, PackageNames, sentence_case
from foretell_contract.labels import PROBABILITY_SUFFIX
from foretell_contract.source.proto_text import Line, Option, number_text, quoted
from foretell_contract.source.spelling import Names, snake
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import OUTLIER_CLASSES, Target, integer_classes, output_name

_OUTPUT = "(foretell.v1.output)"

_NUMBERS = {
    "value": "The number that the model predicts.",
    "std": "Standard deviation of the value.",
    "lower": "Lower end of the interval around the value.",
    "upper": "Upper end of the interval around the value.",
    "score": "Anomaly score: the lower, the more unusual the row.",
}

_WITH_ZERO = ("double", "int32", "uint32", "bool")
"""Types whose zero is an answer. They are drafted as `optional`, because protobuf's JSON leaves out the zeros of other fields."""

_LISTS = {
    "decision": ("decisions", "Decision function of the model: the sign of each is the side of a boundary on which the row lies."),
    "distance": ("distances", "Distance of the row from the centre of each cluster, in their order."),
    "component": ("components", "Components that the model computes from the row, in its order."),
    "probability": ("probabilities", "Probability that the row belongs to each cluster, in their order."),
}


class ResponseDraft:
    """The fields of a response, in order, and their enums."""

    def __init__(self, model: ModelDescription, target_name: str, class_names: dict[str, str], package: PackageNames) -> None:
        """`target_name` names the only target of `model`; `class_names` has other names for its classes."""
        self._model, self._target_name, self._class_names, self._package = model, target_name, class_names, package
        self._names = Names()
        self.lines: list[Line] = []
        self.enums: list[DraftedEnum] = []
        self.classes: dict[str, Line] = {}
        """The field with the probability of each class, for a model with one target."""
        for index, target in enumerate(model.targets):
            self._add_target(index, target)

    def _add_target(self, index: int, target: Target) -> None:
        outputs = [output for output in self._model.outputs if output.target == index]
        kinds = list(dict.fromkeys(output.kind for output in outputs))
        if "label" in kinds:
            self._label(index, target)
        if "cluster" in kinds:
            self._add("Number of the cluster that the row belongs to, counted from 0.", "uint32", "cluster")
        if "probability" in kinds and target.classes:
            self._probabilities(index, target)
        for kind in _NUMBERS:
            if kind in kinds:
                self._number(Output(kind, 0, index), target)
        for kind in _LISTS:
            if kind in kinds and not (kind in ("probability", "decision") and target.classes and "probability" in kinds):
                self._list(kind, [output for output in outputs if output.kind == kind])

    def _add(self, comment: str, kind: str, name: str, *options: Option) -> None:
        name, presence = self._names.take(name), ""
        if kind in _WITH_ZERO:
            presence, options = "optional ", ((f"{FIELD}.required", "true"), *options)
        self.lines.append(Line(comment, f"{presence}{kind} {name} = {len(self.lines) + 1}", options))

    def _label(self, index: int, target: Target) -> None:
        name = snake(target.name or self._target_name or "label", "label")
        answer = self._model.answer.get(output_name(Output("label", 0, index), self._model.targets))
        kind = self._label_type(target)
        if kind == "enum":
            comment = f"{sentence_case(name)}: the classes that the model predicts."
            enum = self._package.enum(name, comment, {label: self._class_names.get(label, label) for label in target.classes})
            self.enums.append(enum)
            example = [enum.example(str(answer))] if answer is not None else []
            self._add(f"The {name.replace('_', ' ')} that the model predicts.", enum.name, name, *ENUM_RULES, *example)
            return
        of = f" of {target.name}" if target.name else ""
        comment = f"The class{of} that the model predicts."
        text = quoted(str(answer)) if kind == "string" else str(answer)
        if kind == "bool":
            comment = f"Whether the model predicts {target.name or self._target_name or 'yes'}."
            text = str(target.positive is not None and answer == target.classes[target.positive]).lower()
        example = [(f"{FIELD}.{kind}.example", text)] if answer is not None else []
        self._add(comment, kind, name, *self._output_option(target, name, "LABEL"), *example)

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
            named = [] if not target.name else [(f"{_OUTPUT}.quantity", "QUANTITY_PROBABILITY"), *_of(target)]
            name = snake(f"{target.name} probabilities", "of")
            self._add("The probability of each class, by its name. They sum to 1.", "map<string, double>", name, *named)
            return
        if target.name and target.positive is not None:
            self._probability(Output("probability", target.positive, index), target, snake(target.name, "of"), target.name)
            return
        for item, label in enumerate(target.classes):
            class_name = self._class_names.get(label, label)
            name = snake(f"{target.name} {class_name}", "class")
            self._probability(Output("probability", item, index), target, name, self._in_words(target, class_name))

    def _probability(self, output: Output, target: Target, name: str, about: str) -> None:
        label = target.classes[output.item]
        implied = name == (target.name if target.positive is not None and target.name else label)
        options = [] if implied else [(f"{_OUTPUT}.probability_of", quoted(label)), *_of(target)]
        rules = [(f"{FIELD}.double.gte", "0"), (f"{FIELD}.double.lte", "1")]
        self._add(f"Probability of {about}.", "double", f"{name}{PROBABILITY_SUFFIX}", *options, *rules, *self._example(output))
        self.classes[label] = self.lines[-1]

    def _in_words(self, target: Target, class_name: str) -> str:
        """The class, with its target if the name alone says little, such as `yes` or `3`."""
        of = target.name or (self._target_name if target.positive is not None or integer_classes(target) else "")
        return f"{class_name} for {of}" if of and class_name != of else class_name

    def _number(self, output: Output, target: Target) -> None:
        name = output.kind if not target.name else target.name if output.kind == "value" else f"{target.name} {output.kind}"
        comment = _NUMBERS[output.kind]
        comment = comment.replace("the value", target.name).replace("The number", f"The {target.name}") if target.name else comment
        if output.kind == "value" and self._target_name and not target.name:
            comment = f"The {self._target_name.replace('_', ' ')} that the model predicts."
        field = snake(name, "target")
        options = [] if not target.name or field == name else self._output_option(target, "", output.kind.upper())
        self._add(comment, "double", field, *options, (f"{FIELD}.double.finite", "true"), *self._example(output))

    def _list(self, kind: str, outputs: list[Output]) -> None:
        name, comment = _LISTS[kind]
        if len(outputs) == 1 and kind == "decision":
            comment = "Decision function of the model: its sign is the side of the boundary on which the row lies."
            self._add(comment, "double", kind, (f"{FIELD}.double.finite", "true"), *self._example(outputs[0]))
            return
        count = str(len(outputs))
        rules = [(f"{FIELD}.repeated.min_items", count), (f"{FIELD}.repeated.max_items", count)]
        self._add(comment, "repeated double", name, *rules)

    def _example(self, output: Output) -> list[Option]:
        answer = self._model.answer.get(output_name(output, self._model.targets))
        # Two digits are enough for an example.
        return [(f"{FIELD}.double.example", number_text(float(f"{float(answer):.2g}")))] if answer is not None else []

    def _output_option(self, target: Target, name: str, quantity: str) -> list[Option]:
        """The option `output`, unless the name of the field implies it."""
        if (target.name and name == target.name) or (not target.name and name == quantity.lower()):
            return []
        return [(f"{_OUTPUT}.quantity", f"QUANTITY_{quantity}"), *_of(target)]


def _of(target: Target) -> Iterator[Option]:
    if target.name:
        yield f"{_OUTPUT}.target", quoted(target.name)
