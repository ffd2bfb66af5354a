"""JSON Schema of single values: the JSON types that a value may have, and its rules as far as JSON Schema can express them."""

import base64
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from foretell_contract.custom_options import CustomOptions
from foretell_contract.fields import Kind, enum_of, kind_of, value_field
from foretell_contract.labels import request_texts
from foretell_contract.rules.rules import FieldRules
from rest_bridge.json.scalars import DECIMAL, INTEGERS, LARGEST, LONG, Form, Write

Schema = dict[str, Any]


_KEYWORDS = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
_TIMES = {
    "gt": "after {}",
    "gte": "at or after {}",
    "lt": "before {}",
    "lte": "at or before {}",
    "const": "exactly {}",
    "within": "within {} of now",
}
_LENGTHS = {"gt": "longer than {}", "gte": "at least {}", "lt": "shorter than {}", "lte": "at most {}", "const": "exactly {}"}
_NUMBER_FORMATS = {
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_UINT32: "int64",
    FieldDescriptor.CPPTYPE_UINT64: "uint64",
}
"""Generators of clients make a 32-bit float of a number without one. Few know `uint32`, and int64 holds every such number."""

_FORMATS = {"email": "email", "hostname": "hostname", "ip": "ip", "ipv4": "ipv4", "ipv6": "ipv6", "uri": "uri", "uuid": "uuid"}
_SHORT_DECIMAL = r"^(?:0|-?[1-9][0-9]{0,17})$"
_SECONDS = r"[0-9]{1,11}|[0-2][0-9]{11}|3(?:0[0-9]{2}|1[0-4][0-9]|15[0-4])[0-9]{8}|3155(?:[0-6][0-9]|7[0-5])[0-9]{6}|315576000000"
"""Up to 10,000 years, the range of a protobuf Duration."""

_DURATION = rf"^-?(?:{_SECONDS})(?:\.[0-9]{{1,9}})?s$"
_DECIMAL_UNSIGNED = r"^(?:0|[1-9][0-9]{0,17})$"


def value_schema(
    field: FieldDescriptor, rules: FieldRules, options: CustomOptions, form: Form, *, zero_free: bool, item: bool = False
) -> Schema:
    """The schema of one value of the field.

    `options` have the labels of enums. `zero_free`: no rule applies to zero. `item`: the value stands in a list or map.
    """
    kind = kind_of(field)
    inner = value_field(field) if field.message_type is not None else field
    zero_is_absent = not item and not field.has_presence
    if kind is Kind.BOOL:
        return _bool(rules, zero_free=zero_free, zero_is_absent=zero_is_absent)
    if kind in (Kind.NUMBER, Kind.INTEGER):
        return _number(inner, rules, form, zero_free=zero_free, zero_is_absent=zero_is_absent)
    if kind is Kind.ENUM:
        enum = enum_of(inner)
        texts = request_texts(enum, options) if form is Form.REQUEST else {str(each.name): each.number for each in enum.values}
        return _enum(enum, texts, rules, form, zero_free=zero_free, zero_is_absent=zero_is_absent)
    if kind is Kind.TEXT:
        return _empty_or(_text(rules, zero_is_absent=zero_is_absent), zero_free=zero_free)
    if kind is Kind.BYTES:
        return _empty_or(_bytes(rules, zero_is_absent=zero_is_absent), zero_free=zero_free)
    if kind is Kind.TIME:
        return {"type": "string", "format": "date-time"}  # Generated clients apply a pattern beside it to dates, not to texts.
    return {"type": "string", "pattern": _DURATION}


def key_schema(key: FieldDescriptor, rules: FieldRules) -> Schema:
    """The schema of the keys of a map, which are the property names of its object."""
    kind = kind_of(key)
    if kind is Kind.BOOL:
        return {"enum": ["false", "true"]}
    if kind is Kind.TEXT:
        return {} if rules.ignored else _text(rules, zero_is_absent=False)
    if not rules.ignored and "in" in rules.values:
        return {"enum": [str(value) for value in rules.values["in"]]}
    return {"pattern": f"^(?:{DECIMAL})$"}


def is_set(field: FieldDescriptor) -> Schema:
    """The schema of a field that counts as set: not null, and not zero if the field cannot tell zero from a missing value."""
    if field.has_presence:
        return {"not": {"type": "null"}}
    zeros: list[Any] = [None, 0, "0", "", False, [], {}]
    if field.enum_type is not None:
        zeros += [value.name for value in field.enum_type.values if value.number == 0]
    if kind_of(field) is Kind.TEXT:
        zeros.remove("0")
    return {"not": {"enum": zeros}}


def describe(rules: FieldRules) -> str:
    """A sentence for the rules on times and durations; empty for other rules."""
    if rules.ignored or rules.kind not in ("timestamp", "duration"):
        return ""
    phrases = _TIMES if rules.kind == "timestamp" else _LENGTHS
    parts = [phrases[name].format(value.ToJsonString()) for name, value in rules.values.items() if name in phrases]
    parts += [text for name, text in (("lt_now", "in the past"), ("gt_now", "in the future")) if rules.values.get(name)]
    parts += [f"one of {', '.join(each.ToJsonString() for each in rules.values['in'])}"] if "in" in rules.values else []
    return f"Must be {' and '.join(parts)}." if parts else ""


def _bool(rules: FieldRules, *, zero_free: bool, zero_is_absent: bool) -> Schema:
    allowed = [value for value in (False, True) if rules.values.get("const", value) == value or (zero_free and not value)]
    if rules.required and zero_is_absent:
        allowed = [value for value in allowed if value]
    return {"type": "boolean"} if len(allowed) == 2 else {"enum": allowed} if allowed else {"not": {}}


def _number(field: FieldDescriptor, rules: FieldRules, form: Form, *, zero_free: bool, zero_is_absent: bool) -> Schema:
    whole, is_long, named = field.cpp_type in INTEGERS, field.cpp_type in LONG, {"format": _NUMBER_FORMATS[field.cpp_type]}
    if is_long and form is Form.RESPONSE:
        return {"type": "string", "pattern": f"^(?:{DECIMAL})$"} | named
    least, most = INTEGERS[field.cpp_type] if whole else (-LARGEST[field.cpp_type], LARGEST[field.cpp_type])
    plain: Schema = {"type": "integer" if whole else "number"} | named | {"minimum": least, "maximum": most}
    bounds = _bounds(rules)
    if rules.required and zero_is_absent:
        bounds |= {"not": {"enum": [0, *bounds.get("not", {}).get("enum", ())]}}  # Zero means missing: the field has no presence.
    elif zero_free and bounds:
        return plain | {"anyOf": [{"const": 0}, bounds]}
    if not whole and bounds.keys() & {"minimum", "exclusiveMinimum"}:
        plain.pop("minimum")
    if not whole and bounds.keys() & {"maximum", "exclusiveMaximum"}:
        plain.pop("maximum")
    if is_long and form is Form.REQUEST and not bounds:
        return {"anyOf": [plain, {"type": "string", "pattern": _SHORT_DECIMAL if least < 0 else _DECIMAL_UNSIGNED} | named]}
    return plain | bounds


def _bounds(rules: FieldRules) -> Schema:
    values = {name: value for name, value in rules.values.items() if not (isinstance(value, float) and not math.isfinite(value))}
    schema: Schema = {}
    low = {_KEYWORDS[name]: values[name] for name in ("gt", "gte") if name in values}
    high = {_KEYWORDS[name]: values[name] for name in ("lt", "lte") if name in values}
    if low and high and min(high.values()) < max(low.values()):
        schema |= {"anyOf": [high, low]}  # protovalidate reads a lower bound above the upper one as "outside of the gap".
    else:
        schema |= low | high
    return schema | _listed(rules)


def _listed(rules: FieldRules, to_json: Write = lambda value: value) -> Schema:
    """The rules that list values: const, in, not_in."""
    schema: Schema = {}
    if "const" in rules.values:
        schema["const"] = to_json(rules.values["const"])
    if "in" in rules.values:
        schema["enum"] = list(map(to_json, rules.values["in"]))
    if "not_in" in rules.values:
        schema["not"] = {"enum": list(map(to_json, rules.values["not_in"]))}
    return schema


def _enum(
    enum: EnumDescriptor, texts: Mapping[str, int], rules: FieldRules, form: Form, *, zero_free: bool, zero_is_absent: bool
) -> Schema:
    values = rules.values

    def allowed(number: int) -> bool:
        if number == 0 and zero_is_absent and (rules.required or zero_free):
            return not rules.required
        return (
            number == values.get("const", number)
            and number in values.get("in", (number,))
            and number not in values.get("not_in", ())
        )

    shown = {"type": "string", "enum": [text for text, number in texts.items() if allowed(number)]}
    if form is not Form.REQUEST:
        return shown
    listed = [*values.get("in", ()), *([values["const"]] if "const" in values else [])]
    defined_only = enum.is_closed or values.get("defined_only")
    if defined_only or listed:
        unnamed = set(() if defined_only else listed) | ({0} if zero_free and zero_is_absent else set())
        numbers = sorted(number for number in unnamed if allowed(number) and number not in enum.values_by_number)
        return _any_of(shown, {"type": "integer", "format": "int32", "enum": numbers})
    least, most = INTEGERS[FieldDescriptor.CPPTYPE_INT32]
    number: Schema = {"type": "integer", "format": "int32", "minimum": least, "maximum": most}
    excluded = [value for value in values.get("not_in", ()) if not (value == 0 and zero_free and zero_is_absent)]
    excluded += [0] if rules.required and zero_is_absent else []
    if excluded:
        number["not"] = {"enum": excluded}
    return _any_of(shown, number)


def _any_of(*parts: Schema) -> Schema:
    """Either of the parts; a part with an empty `enum` is left out."""
    left = [part for part in parts if part.get("enum", True)]
    return {"anyOf": left} if len(left) > 1 else left[0] if left else {"not": {}}


def _text(rules: FieldRules, *, zero_is_absent: bool) -> Schema:
    values = rules.values
    schema: Schema = {"type": "string"} | _listed(rules)
    low, high = _lengths(rules, zero_is_absent=zero_is_absent)
    schema |= {"minLength": low} if low else {}
    schema |= {"maxLength": high} if high is not None else {}
    patterns = [values["pattern"]] if "pattern" in values else []
    patterns += [f"^{_literal(values['prefix'])}"] if "prefix" in values else []
    patterns += [f"{_literal(values['suffix'])}$"] if "suffix" in values else []
    patterns += [_literal(values["contains"])] if "contains" in values else []
    if len(patterns) == 1:
        schema["pattern"] = patterns[0]
    elif patterns:
        schema["allOf"] = [{"pattern": pattern} for pattern in patterns]
    if "not_contains" in values:
        schema["not"] = {"anyOf": [{"pattern": _literal(values["not_contains"])}, *([schema["not"]] if "not" in schema else [])]}
    for name, form in _FORMATS.items():
        if values.get(name):
            schema["format"] = form
    return schema


def _lengths(rules: FieldRules, *, zero_is_absent: bool) -> tuple[int, int | None]:
    """The least and the largest length of a text or bytes; None if it is unbounded."""
    values = rules.values
    low = max([values[name] for name in ("min_len", "len") if name in values] + [1 if rules.required and zero_is_absent else 0])
    return low, min([values[name] for name in ("max_len", "len") if name in values], default=None)


def _literal(text: str) -> str:
    """A regular expression that matches this text only, in the syntax that all dialects share."""
    return "".join(f"\\{c}" if c in r"\^$.|?*+()[]{}/" else c for c in text)


def _bytes(rules: FieldRules, *, zero_is_absent: bool) -> Schema:
    low, high = _lengths(rules, zero_is_absent=zero_is_absent)
    schema: Schema = {"type": "string", "contentEncoding": "base64", "pattern": f"^(?:{_base64(low, high)})$"}
    return schema | _listed(rules, lambda value: base64.b64encode(value).decode())


def _base64(low: int, high: int | None) -> str:
    """A pattern for base64 of `low` to `high` bytes: four characters for three bytes, padding for the last one or two."""
    forms = []
    for left, tail in ((0, ""), (1, "[A-Za-z0-9+/]{2}=="), (2, "[A-Za-z0-9+/]{3}=")):
        least = max(0, math.ceil((low - left) / 3))
        most = "" if high is None else (high - left) // 3
        if high is None or (high >= left and least <= (high - left) // 3):
            forms.append(f"(?:[A-Za-z0-9+/]{{4}}){{{least},{most}}}{tail}")
    return "|".join(forms) or "(?!)"


def _empty_or(ruled: Schema, *, zero_free: bool) -> Schema:
    return {"type": "string", "anyOf": [{"const": ""}, ruled]} if zero_free and ruled != {"type": "string"} else ruled
