"""JSON Schema of a contract's messages, in the 2020-12 dialect that OpenAPI 3.1 uses.

A schema documents the rules; the server enforces them. A schema accepts exactly the values that the validator accepts, with three
exceptions. A rule that JSON Schema cannot express, such as one on times or in CEL, is a sentence in the description. The text form
of a 64-bit integer, which ProtoJSON allows, is in the schema only if no rule bounds the number. The numbers of named enum values,
which ProtoJSON allows too, are left out, because generators of clients cannot read an enum of texts and numbers.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.fields import is_map, is_nested, map_entry, message_of
from foretell_contract.fields import messages_within as all_within
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import NO_RULES, FieldRules
from foretell_contract.service import Method
from rest_bridge.json.codec import COLUMNS, document_of, in_columns
from rest_bridge.json.scalars import Form, writer
from rest_bridge.openapi.value_schema import Schema, describe, is_set, key_schema, value_schema


class Schemas:
    """Builds the schemas of one contract's messages, in each Form."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        # Of all files, served or not: the name of a schema must not change when another model is added.
        files: list[Any] = [contract.pool.FindFileByName(name) for name in contract.apis]
        methods = [method for file in files for service in file.services_by_name.values() for method in service.methods]
        self._requested = {message.full_name for method in methods for message in all_within(method.input_type)}
        self._packages = {file.package for file in files}

    def name(self, message: Descriptor, form: Form) -> str:
        """The message's key among the components of an OpenAPI document.

        A message in both directions has two schemas. One of a package without services is shared, so any contract may request it.
        """
        requested = message.full_name in self._requested or message.file.package not in self._packages
        return f"{message.full_name}.Answer" if form is Form.RESPONSE and requested else str(message.full_name)

    def reference(self, message: Descriptor, form: Form) -> Schema:
        """A `$ref` to the message's schema among the components."""
        return {"$ref": f"#/components/schemas/{self.name(message, form)}"}

    def columns(self, method: Method) -> Iterator[Schema]:
        """The schemas of a batch method's request and response in columns."""
        parts: Any = (method.rows, Form.REQUEST), (method.answers, Form.RESPONSE)
        closed: Schema = {"type": "object", "additionalProperties": False}
        for rows, form in parts:
            rules = self._contract.rules.of(rows)
            table = self._shape(rows, rules, form, grouped=False)
            row = self.of(message_of(rows), form, ruled=not rules.ignored)
            required, items, null = row.get("required", []), row["properties"].items(), {"type": "null"}
            known = required if form is Form.RESPONSE else row["properties"]  # Null is in the schema of a request's field already.
            lists = {name: table | {"items": item if name in known else {"anyOf": [item, null]}} for name, item in items}
            columns = closed | {"properties": lists, "required": required if form is Form.REQUEST else list(lists)}
            columns["description"] = "Lists of one length, null where a row has no value. The answer to columns comes in columns."
            title = f"{self.name(rows.containing_type, form)}.Columns"
            schema = closed | {"title": title, "properties": {COLUMNS: columns}, "required": [COLUMNS]}
            shown = example(rows.containing_type, self._contract.rules)
            yield schema | ({"examples": [in_columns(rows, document_of(shown, form))]} if shown is not None else {})

    def of(self, message: Descriptor, form: Form, *, ruled: bool = True) -> Schema:
        """The schema of a message. `ruled` is false if the field around the message switches its rules off."""
        contract = self._contract
        required = _required(contract, message, form, ruled=ruled)
        grouped = _grouped(contract, message) if ruled else set()
        properties = {}
        for field in message.fields:
            nullable = field.has_presence if form is Form.PAGE else form is Form.REQUEST and field.name not in required
            properties[field.name] = self._field(field, form, nullable=nullable, ruled=ruled, grouped=field.name in grouped)
        schema: Schema = {"type": "object", "title": self.name(message, form)}
        rule_texts = contract.rules.cel_messages(message) if ruled else ()
        description = "\n\n".join(filter(None, (contract.comment(message.full_name), *rule_texts)))
        if description:
            schema["description"] = description
        schema |= {"properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = required
        exclusive = list(_exclusive(contract, message, ruled=ruled)) if form is Form.REQUEST else []
        if exclusive:
            schema["allOf"] = exclusive
        shown = example(message, contract.rules) if form is not Form.PAGE else None
        if shown is not None:
            schema["examples"] = [document_of(shown, form)]
        return schema

    def _field(self, field: FieldDescriptor, form: Form, *, nullable: bool, ruled: bool, grouped: bool) -> Schema:
        contract = self._contract
        rules = contract.rules.of(field) if ruled else NO_RULES
        schema = self._shape(field, NO_RULES if rules.ignored else rules, form, grouped=grouped)
        if nullable:
            schema = {"anyOf": [schema, {"type": "null"}]}
        unit = contract.rules.unit(field)
        schema |= {"x-unit": unit} if unit else {}
        texts = (contract.comment(field.full_name), unit and f"Unit: {unit}.", describe(rules), *rules.cel)
        description = "\n\n".join(filter(None, texts))
        if description:
            schema["description"] = description
        if rules.examples:
            schema["examples"] = list(map(writer(field, form), rules.examples))
        return schema

    def _shape(self, field: FieldDescriptor, rules: FieldRules, form: Form, *, grouped: bool) -> Schema:
        # Zero is exempt from the rules of a field that cannot tell it from a missing value.
        zero_free = not field.has_presence and (rules.zero_ignored or grouped) and not rules.required
        if is_map(field):
            key, value = map_entry(field)
            names = key_schema(key, rules.values.get("keys", NO_RULES))
            values = self._single(value, rules.values.get("values", NO_RULES), form, ruled=True)
            shape = {"type": "object", "propertyNames": names, "additionalProperties": values}
            return _empty_or(shape, _counts(rules, "pairs", "Properties"), "Properties", zero_free=zero_free)
        if field.is_repeated:
            items = self._single(field, rules.values.get("items", NO_RULES), form, ruled=True)
            return _empty_or({"type": "array", "items": items}, _counts(rules, "items", "Items"), "Items", zero_free=zero_free)
        if is_nested(field):
            return self._single(field, rules, form, ruled=not self._contract.rules.of(field).ignored)
        return value_schema(field, rules, self._contract.options, form, zero_free=zero_free)

    def _single(self, field: FieldDescriptor, rules: FieldRules, form: Form, *, ruled: bool) -> Schema:
        """One item of a list or map, or a nested message."""
        if not is_nested(field):
            shown = NO_RULES if rules.ignored else rules
            return value_schema(field, shown, self._contract.options, form, zero_free=rules.zero_ignored, item=True)
        if ruled and not rules.ignored:
            return self.reference(message_of(field), form)
        return self.of(message_of(field), form, ruled=False)


def messages_within(message: Descriptor) -> list[Descriptor]:
    """The message and the messages of its fields, to any depth, that have schemas of their own."""
    known = (each for each in all_within(message) if not each.full_name.startswith("google.protobuf."))
    return [each for each in known if not each.GetOptions().map_entry]


def _required(contract: Contract, message: Descriptor, form: Form, *, ruled: bool) -> list[str]:
    if form is Form.PAGE:
        return [field.name for field in message.fields]
    if form is Form.RESPONSE:
        return [field.name for field in message.fields if not field.has_presence or (ruled and contract.rules.of(field).required)]
    return _refused_if_absent(contract, message) if ruled else []


def _refused_if_absent(contract: Contract, message: Descriptor) -> list[str]:
    """Names of the fields for which the validator refuses an empty message: required ones, and those whose rules forbid zero."""
    fields = message.fields_by_name
    try:
        violations = contract.rules.violations(GetMessageClass(message)())
    except EvaluationError:  # A CEL rule that fails on an empty message may hold on a real one.
        return [field.name for field in message.fields if contract.rules.of(field).required]
    return [name for name in dict.fromkeys(violation.field for violation in violations) if name in fields]


def _counts(rules: FieldRules, of: str, word: str) -> Schema:
    schema: Schema = {f"{side}{word}": rules.values[f"{side}_{of}"] for side in ("min", "max") if f"{side}_{of}" in rules.values}
    if rules.values.get("unique"):
        schema["uniqueItems"] = True
    if rules.required:
        schema[f"min{word}"] = max(1, schema.get(f"min{word}", 0))
    return schema


def _empty_or(schema: Schema, counts: Schema, word: str, *, zero_free: bool) -> Schema:
    """A list or map under its rules; empty is allowed as well if no rule applies to an empty one."""
    return schema | {"anyOf": [{f"max{word}": 0}, counts]} if zero_free and counts.get(f"min{word}") else schema | counts


def _grouped(contract: Contract, message: Descriptor) -> set[str]:
    """Names of the fields in the message's `(buf.validate.message).oneof` rules, for which zero counts as absent."""
    rules = contract.rules.declared("message", message)
    return {name for rule in (rules.oneof if rules is not None else ()) for name in rule.fields}


def _exclusive(contract: Contract, message: Descriptor, *, ruled: bool) -> Iterator[Schema]:
    """One schema for each oneof: at most one of its fields is set, or exactly one if the oneof is required."""
    for group in message.oneofs:
        if len(group.fields) > 1:
            oneof = contract.rules.declared("oneof", group) if ruled else None
            yield _one_of(list(group.fields), required=oneof is not None and oneof.required)
    rules = contract.rules.declared("message", message) if ruled else None
    for rule in rules.oneof if rules is not None else ():
        yield _one_of([message.fields_by_name[name] for name in rule.fields], required=rule.required)


def _one_of(fields: list[FieldDescriptor], *, required: bool) -> Schema:
    present = [{"required": [field.name], "properties": {field.name: is_set(field)}} for field in fields]
    return {"oneOf": present if required else [*present, {"not": {"anyOf": present}}]}
