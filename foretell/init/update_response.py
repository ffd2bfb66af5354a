"""Updates the fields of `Response` for a model that was trained again."""

import re
from collections.abc import Iterator
from contextlib import suppress

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from foretell.init.contract_edit import ContractEdit, next_number, reserved_names, text_of
from foretell.init.draft_features import field_numbers
from foretell.init.draft_response import ResponseDraft
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from foretell_contract.labels import PROBABILITY_SUFFIX, match_labels, short_name
from foretell_contract.source.spelling import Names, snake
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.errors import ModelMismatch
from grpc_server.rows.response_fields import NO_CLASS, FieldResolver, FieldSource
from grpc_server.rows.targets import Target

_ORDER = re.compile(r"One for each (?:pair of classes|class), in this order: .+?\.(?=\s+[A-Z]|\s*$)")
_FORMS = {"decision": "decisions", "decisions": "decision"}
"""Drafted fields whose numbers mean something else once the model has two classes instead of more, or more instead of two."""


class ResponseUpdate:
    """Collects the changes of one `Response` message."""

    def __init__(self, edit: ContractEdit, contract: Contract, answer: Descriptor, model: ModelDescription) -> None:
        self._edit, self._contract, self._answer, self._model = edit, contract, answer, model
        self._numbers = field_numbers(next_number(answer))
        self._appended: set[str] = set()
        """Names of the draft under which classes were appended."""
        self.notes: list[str] = []
        """What the author should look at."""

    def update(self, draft: ResponseDraft, class_names: dict[str, str]) -> None:
        """Appends new classes, reserves lost ones and adapts lists; `draft` and `class_names` describe a new contract.

        Raises SetupError for a change that this contract cannot hold.
        """
        self._check_forms(draft)
        self._update_lists(draft)
        for index, target in enumerate(self._model.targets):
            held = [(field, source) for field, source in self._sources() if target.classes and source.target == index]
            enums = [field for field, source in held if source.kind == "label" and field.enum_type and not field.is_repeated]
            items = {source.item: field for field, source in held if source.kind == "probability" and source.item is not None}
            lost = [field for field, source in held if source.kind == "probability" and source.item == NO_CLASS]
            fields = {target.classes[item]: field for item, field in items.items() if item != NO_CLASS}
            self._check_names(target, fields, enums, class_names)
            for field in enums:
                self._edit.update_enum(field, target.classes, class_names, complete=True)
            for field in lost:
                self._edit.reserve(field.full_name, field.number)
            if items and not (target.name and target.positive is not None):
                self._append_probabilities(index, fields, draft)
        self._note_missing_fields(draft)

    def _check_forms(self, draft: ResponseDraft) -> None:
        """Raises SetupError for a field whose type, or whose meaning, does not suit the classes of the model any more."""
        drafted = {line.name: line.declared.removeprefix("optional ").split()[0] for line in draft.lines}
        counts = {str(len(target.classes)) for target in self._model.targets if target.classes}
        classes = f"the model now has {' or '.join(sorted(counts))} classes"
        for field in self._answer.fields:
            output = self._contract.options.get(field, "foretell.v1.output")
            whether = output is not None and output.WhichOneof("kind") == "label_is"
            if field.type == FieldDescriptor.TYPE_BOOL and drafted.get(field.name, "bool") != "bool" and not whether:
                raise SetupError(f"{field.full_name} is a bool, but {classes}: {self._edit.beside}")
            if output is None and field.name not in drafted and _FORMS.get(field.name) in drafted:
                raise SetupError(
                    f"{field.full_name} would mean something else, because {classes}, and is called {_FORMS[field.name]} then: "
                    f"{self._edit.beside}"
                )

    def _update_lists(self, draft: ResponseDraft) -> None:
        """Adapts the lengths of drafted lists, and the order in their comments."""
        for line in draft.lines:
            field = self._answer.fields_by_name.get(line.name)
            if field is None or not field.is_repeated:
                continue
            lengths = {name.rpartition(".")[2]: value for name, value in line.options if ".repeated." in name}
            before = self._contract.rules.of(field).values
            if lengths and before.get("min_items") == before.get("max_items"):
                for rule, value in lengths.items():
                    self._edit.set_rule(self._edit.rule(field, "repeated", rule), value)
            old, new = (_ORDER.search(" ".join(text.split())) for text in (self._contract.comment(field.full_name), line.comment))
            if old and new:
                self._edit.replace_words(field.full_name, {old[0]: new[0]})

    def _sources(self) -> Iterator[tuple[FieldDescriptor, FieldSource]]:
        """The fields that an output of the model fills, or did before it lost a class."""
        resolver = FieldResolver(self._contract, self._model.targets, self._model.outputs, [])
        for field in self._answer.fields:
            with suppress(ModelMismatch):
                yield field, resolver.of(field, None)

    def _check_names(
        self, target: Target, fields: dict[str, FieldDescriptor], enums: list[FieldDescriptor], class_names: dict[str, str]
    ) -> None:
        """Raises SetupError if the contract calls a class otherwise than `class_names`: renaming it breaks callers."""
        names = {label: field.name.removesuffix(PROBABILITY_SUFFIX) for label, field in fields.items()}
        for enum in (field.enum_type for field in enums if isinstance(field.enum_type, EnumDescriptor)):
            found = match_labels(enum, target.classes, self._contract.options)
            names |= {label: short_name(enum.values_by_number[number]).lower() for number, label in found.by_number.items()}
        if class_names and not names:
            raise SetupError(
                f"--labels names classes, but {self._answer.full_name} names none: leave it out, or {self._edit.beside}"
            )
        for label, wanted in class_names.items():
            name = names.get(label, "")
            if name and snake(wanted, "class") not in (name, f"class_{name}", re.sub(r"_\d+$", "", name)):
                raise SetupError(
                    f"--labels calls the class {label!r} {wanted!r}, but {self._answer.full_name} calls it {name}, and another "
                    f"name breaks callers: leave --labels out, or {self._edit.beside}"
                )

    def _append_probabilities(self, index: int, fields: dict[str, FieldDescriptor], draft: ResponseDraft) -> None:
        """Appends a field for each class without one."""
        target = self._model.targets[index]
        names = Names((*self._answer.fields_by_name, *reserved_names(self._answer)))
        missing = [item for item, label in enumerate(target.classes) if label not in fields]
        for item in missing:
            drafted = draft.probability_name(target, item)
            line = draft.probability(index, item, names.take(drafted), next(self._numbers))
            self._edit.file.append(self._answer.full_name, "\n" + text_of(line))
            self._appended.add(drafted)

    def _note_missing_fields(self, draft: ResponseDraft) -> None:
        """New fields of several targets are left to the author."""
        known = {*self._answer.fields_by_name, *self._appended}
        missing = [name for line in draft.lines if (name := line.name) not in known]
        if missing and len(self._model.targets) > 1:
            self.notes.append(
                f"{self._answer.full_name} has no {', '.join(missing)}, which the model predicts: add the fields that callers "
                f"need, or {self._edit.beside}"
            )
