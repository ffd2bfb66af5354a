"""JSON Schema (2020-12, as OpenAPI 3.1 uses it) of the messages of a contract.

A schema only shows the rules; the server enforces them. A test holds that a schema accepts a value exactly when the validator does.
"""

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from contract.contract import Contract
from contract.example import example
from contract.rules import FieldRules
from rest_bridge.codec import INTEGERS, LARGEST, Codec

Schema = dict[str, Any]

_WORDS = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}


def message_schema(contract: Contract, message: Descriptor, *, answer: bool) -> Schema:
    """What a message looks like as the body of a request, or of an answer, in which every field is there."""
    must = _always_there(message) if answer else _refused_when_absent(contract, message)
    properties = {field.name: _field(contract, field, nullable=not answer and field.name not in must) for field in message.fields}
    schema: Schema = {"type": "object", "title": message.name}
    description = "\n\n".join(filter(None, (contract.comment(message.full_name), *contract.rules.of_message(message))))
    if description:
        schema["description"] = description
    schema |= {"properties": properties, "additionalProperties": False}
    if must:
        schema["required"] = must
    shown = example(message, contract.rules)
    if shown is not None:
        schema["examples"] = [Codec(message, contract.rules).document(shown)]
    return schema


def reference(message: Descriptor) -> Schema:
    """A reference to the schema of a message among the components of an OpenAPI document."""
    return {"$ref": f"#/components/schemas/{message.full_name}"}


def messages_within(message: Descriptor) -> Iterator[Descriptor]:
    """The message and those of its fields, to any depth."""
    yield message
    for field in message.fields:
        if field.message_type and field.message_type is not message:
            yield from messages_within(field.message_type)


def _always_there(message: Descriptor) -> list[str]:
    return [field.name for field in message.fields if not field.has_presence]


def _refused_when_absent(contract: Contract, message: Descriptor) -> list[str]:
    """Fields that the validator misses in an empty message: the required ones, and those for which zero is out of bounds."""
    violations = contract.rules.violations(GetMessageClass(message)())
    return list(dict.fromkeys(violation.field for violation in violations if violation.field))


def _field(contract: Contract, field: FieldDescriptor, *, nullable: bool) -> Schema:
    rules = contract.rules.of(field)
    if field.message_type is None:
        schema = _scalar(field, rules)
    elif field.is_repeated:
        schema = {"type": "array", "items": reference(field.message_type)} | _list_bounds(rules)
    else:
        schema = reference(field.message_type)
    if nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    description = "\n\n".join(filter(None, (contract.comment(field.full_name), *rules.cel)))
    if description:
        schema = schema | {"description": description}
    if rules.examples:
        schema = schema | {"examples": list(rules.examples)}
    return schema


def _list_bounds(rules: FieldRules) -> Schema:
    words = {"min_items": "minItems", "max_items": "maxItems"}
    return {} if rules.ignored else {words[name]: value for name, value in rules.values.items() if name in words}


def _scalar(field: FieldDescriptor, rules: FieldRules) -> Schema:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        schema: Schema = {"type": "boolean"}
    elif field.cpp_type in INTEGERS:
        least, most = INTEGERS[field.cpp_type]
        schema = {"type": "integer", "minimum": least, "maximum": most}
    else:
        schema = {"type": "number", "minimum": -LARGEST[field.cpp_type], "maximum": LARGEST[field.cpp_type]}
    if rules.ignored:
        return schema
    bounds = _bounds(rules)
    if rules.required and not field.has_presence:
        bounds |= {"not": {"enum": [0, *bounds.get("not", {}).get("enum", ())]}}  # Zero means missing there.
    elif rules.zero_ignored and not field.has_presence and bounds:
        return schema | {"anyOf": [{"const": 0}, bounds]}
    if schema["type"] == "number" and bounds.keys() & {"minimum", "exclusiveMinimum"}:
        schema.pop("minimum")
    if schema["type"] == "number" and bounds.keys() & {"maximum", "exclusiveMaximum"}:
        schema.pop("maximum")
    return schema | bounds


def _bounds(rules: FieldRules) -> Schema:
    values = {name: value for name, value in rules.values.items() if not (isinstance(value, float) and not math.isfinite(value))}
    schema: Schema = {}
    low = {_WORDS[name]: values[name] for name in ("gt", "gte") if name in values}
    high = {_WORDS[name]: values[name] for name in ("lt", "lte") if name in values}
    if low and high and min(high.values()) < max(low.values()):
        schema |= {"anyOf": [high, low]}  # A lower bound above the upper one means outside of the gap.
    else:
        schema |= low | high
    if "const" in values:
        schema["const"] = values["const"]
    if "in" in values:
        schema["enum"] = list(values["in"])
    if "not_in" in values:
        schema["not"] = {"enum": list(values["not_in"])}
    return schema
