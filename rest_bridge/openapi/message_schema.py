"""JSON Schema (2020-12, as OpenAPI 3.1 uses it) of the messages of a contract.

A schema only shows the rules; the server enforces them. A test holds that it accepts what the validator accepts and nothing else,
but for rules that JSON Schema cannot say, such as those on times and those in CEL, which it tells in words. The text of a whole
number of 64 bits, which ProtoJSON allows, is shown only where no rule bounds the number.
"""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.fields import is_map, is_nested, map_entry, message_of
from foretell_contract.rules.rule_engine import EvaluationError
from foretell_contract.rules.rules import NO_RULES, FieldRules
from rest_bridge.json.codec import Codec, request_example
from rest_bridge.openapi.value_schema import Schema, as_json, describe, is_set, key_schema, value_schema


class Schemas:
    """The schemas of a contract's messages, as bodies of requests or of answers."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        requests = [
            message for service in contract.services for method in service.methods for message in messages_within(method.input)
        ]
        self._requested = {message.full_name for message in requests}
        self._several = len({service.package for service in contract.services}) > 1
        """Packages, which may each have a message of the same name."""

    def name(self, message: Descriptor, *, answer: bool) -> str:
        """Among the components of an OpenAPI document. A message on both ways has two schemas."""
        return f"{message.full_name}.Answer" if answer and message.full_name in self._requested else str(message.full_name)

    def reference(self, message: Descriptor, *, answer: bool) -> Schema:
        """A reference to the schema of a message among those components."""
        return {"$ref": f"#/components/schemas/{self.name(message, answer=answer)}"}

    def of(self, message: Descriptor, *, answer: bool, ruled: bool = True) -> Schema:
        """What a message looks like as the body of a request, or of an answer, in which every field is there.

        Where not `ruled`, its rules do not apply, because those of the field around it say so.
        """
        contract = self._contract
        must = _always_there(message) if answer else _refused_when_absent(contract, message) if ruled else []
        grouped = _grouped(contract, message) if ruled else set()
        properties = {
            field.name: self._field(
                field, answer=answer, nullable=not answer and field.name not in must, ruled=ruled, grouped=grouped
            )
            for field in message.fields
        }
        schema: Schema = {"type": "object", "title": message.full_name if self._several else message.name}
        words = contract.rules.cel_messages(message) if ruled else ()
        description = "\n\n".join(filter(None, (contract.comment(message.full_name), *words)))
        if description:
            schema["description"] = description
        schema |= {"properties": properties, "additionalProperties": False}
        if must:
            schema["required"] = must
        rivals = [] if answer else list(_rivals(contract, message, ruled=ruled))
        if rivals:
            schema["allOf"] = rivals
        shown = example(message, contract.rules)
        if shown is not None:
            schema["examples"] = [Codec(message, contract.rules).document(shown) if answer else request_example(shown)]
        return schema

    def _field(self, field: FieldDescriptor, *, answer: bool, nullable: bool, ruled: bool, grouped: set[str]) -> Schema:
        contract = self._contract
        rules = contract.rules.of(field) if ruled else NO_RULES
        schema = self._shape(field, NO_RULES if rules.ignored else rules, answer=answer, grouped=field.name in grouped)
        if nullable:
            schema = {"anyOf": [schema, {"type": "null"}]}
        description = "\n\n".join(filter(None, (contract.comment(field.full_name), describe(rules), *rules.cel)))
        if description:
            schema = schema | {"description": description}
        if rules.examples:
            schema = schema | {"examples": [as_json(field, value, answer=answer) for value in rules.examples]}
        return schema

    def _shape(self, field: FieldDescriptor, rules: FieldRules, *, answer: bool, grouped: bool) -> Schema:
        zero = _zero_is_free(field, rules, grouped=grouped)
        if is_map(field):
            return self._map(field, rules, zero, answer=answer)
        if field.is_repeated:
            items = self._single(field, rules.values.get("items", NO_RULES), answer=answer, ruled=True)
            return _empty_or({"type": "array", "items": items}, _counts(rules, "items", "Items"), zero, "Items")
        if is_nested(field):
            return self._single(field, rules, answer=answer, ruled=not self._contract.rules.of(field).ignored)
        return value_schema(field, rules, answer=answer, zero=zero)

    def _map(self, field: FieldDescriptor, rules: FieldRules, zero: bool, *, answer: bool) -> Schema:
        key, value = map_entry(field)
        schema: Schema = {"type": "object", "propertyNames": key_schema(key, rules.values.get("keys", NO_RULES))}
        schema["additionalProperties"] = self._single(value, rules.values.get("values", NO_RULES), answer=answer, ruled=True)
        return _empty_or(schema, _counts(rules, "pairs", "Properties"), zero, "Properties")

    def _single(self, field: FieldDescriptor, rules: FieldRules, *, answer: bool, ruled: bool) -> Schema:
        """One item of a list or map, or a message."""
        if not is_nested(field):
            return value_schema(field, NO_RULES if rules.ignored else rules, answer=answer, zero=rules.zero_ignored, item=True)
        if ruled and not rules.ignored:
            return self.reference(message_of(field), answer=answer)
        return self.of(message_of(field), answer=answer, ruled=False)


def message_schema(contract: Contract, message: Descriptor, *, answer: bool) -> Schema:
    """See Schemas.of."""
    return Schemas(contract).of(message, answer=answer)


def messages_within(message: Descriptor) -> Iterator[Descriptor]:
    """The message and those of its fields, to any depth, that have a schema of their own."""
    yield message
    for field in message.fields:
        inner = map_entry(field)[1] if is_map(field) else field
        if is_nested(inner):
            yield from messages_within(message_of(inner))


def _always_there(message: Descriptor) -> list[str]:
    return [field.name for field in message.fields if not field.has_presence]


def _refused_when_absent(contract: Contract, message: Descriptor) -> list[str]:
    """Fields that the validator misses in an empty message: the required ones, and those for which zero is out of bounds."""
    fields = message.fields_by_name
    try:
        violations = contract.rules.violations(GetMessageClass(message)())
    except EvaluationError:  # A CEL rule that fails on an empty message may well hold on a real one.
        return [field.name for field in message.fields if contract.rules.of(field).required]
    return [name for name in dict.fromkeys(violation.field for violation in violations) if name in fields]


def _zero_is_free(field: FieldDescriptor, rules: FieldRules, *, grouped: bool) -> bool:
    """Whether no rule applies to zero, where a field cannot tell that from a missing value."""
    return not field.has_presence and (rules.zero_ignored or grouped) and not rules.required


def _counts(rules: FieldRules, of: str, word: str) -> Schema:
    schema: Schema = {f"{side}{word}": rules.values[f"{side}_{of}"] for side in ("min", "max") if f"{side}_{of}" in rules.values}
    if rules.values.get("unique"):
        schema["uniqueItems"] = True
    if rules.required:
        schema[f"min{word}"] = max(1, schema.get(f"min{word}", 0))
    return schema


def _empty_or(schema: Schema, counts: Schema, zero: bool, word: str) -> Schema:
    """A list or map under its rules, or an empty one where no rule applies to it."""
    return schema | {"anyOf": [{f"max{word}": 0}, counts]} if zero and counts.get(f"min{word}") else schema | counts


def _grouped(contract: Contract, message: Descriptor) -> set[str]:
    """Fields of the message's own oneof rules, of which zero counts as absent."""
    stated = contract.rules.declared("message", message)
    return {name for rule in (stated.oneof if stated is not None else ()) for name in rule.fields}


def _rivals(contract: Contract, message: Descriptor, *, ruled: bool) -> Iterator[Schema]:
    """Of the fields of a oneof at most one is there; exactly one where that is required."""
    for group in message.oneofs:
        if len(group.fields) > 1:
            stated = contract.rules.declared("oneof", group) if ruled else None
            yield _one_of(list(group.fields), required=stated is not None and stated.required)
    stated = contract.rules.declared("message", message) if ruled else None
    for rule in stated.oneof if stated is not None else ():
        yield _one_of([message.fields_by_name[name] for name in rule.fields], required=rule.required)


def _one_of(fields: list[FieldDescriptor], *, required: bool) -> Schema:
    there = [{"required": [field.name], "properties": {field.name: is_set(field)}} for field in fields]
    return {"oneOf": there if required else [*there, {"not": {"anyOf": there}}]}
