"""JSON Schema of single values: which JSON a value may be, and the rules on it that JSON Schema can say."""

import base64
import math
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from foretell_contract.fields import Kind, enum_of, kind_of, value_field
from foretell_contract.rules.rules import FieldRules
from rest_bridge.json.scalars import DECIMAL, INTEGERS, LARGEST, LONG, TIME, writer

Schema = dict[str, Any]

_WORDS = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
_TIMES = {
    "gt": "after {}",
    "gte": "at or after {}",
    "lt": "before {}",
    "lte": "at or before {}",
    "const": "exactly {}",
    "within": "within {} of now",
}
_LENGTHS = {"gt": "longer than {}", "gte": "at least {}", "lt": "shorter than {}", "lte": "at most {}", "const": "exactly {}"}
_FORMATS = {"email": "email", "hostname": "hostname", "ip": "ip", "ipv4": "ipv4", "ipv6": "ipv6", "uri": "uri", "uuid": "uuid"}
_SHORT_DECIMAL = r"^(?:0|-?[1-9][0-9]{0,17})$"
_SECONDS = r"[0-9]{1,11}|[0-2][0-9]{11}|3(?:0[0-9]{2}|1[0-4][0-9]|15[0-4])[0-9]{8}|3155(?:[0-6][0-9]|7[0-5])[0-9]{6}|315576000000"
"""Up to 10,000 years, the longest that a Duration can be."""

_DURATION = rf"^-?(?:{_SECONDS})(?:\.[0-9]{{1,9}})?s$"

_DECIMAL_UNSIGNED = r"^(?:0|[1-9][0-9]{0,17})$"


def value_schema(field: FieldDescriptor, rules: FieldRules, *, answer: bool, zero: bool, item: bool = False) -> Schema:
    """Of a value of the field. `zero` says that no rule applies to it when it is zero, `item` that it stands in a list or map."""
    kind = kind_of(field)
    inner = value_field(field) if field.message_type is not None else field
    absent = not item and not field.has_presence
    if kind is Kind.BOOL:
        return _bool(rules, zero=zero, absent=absent)
    if kind in (Kind.NUMBER, Kind.INTEGER):
        return _number(inner, rules, answer=answer, zero=zero, absent=absent)
    if kind is Kind.ENUM:
        return _enum(enum_of(inner), rules, answer=answer, zero=zero, absent=absent)
    if kind is Kind.TEXT:
        return _zero_or(_text(rules, absent=absent), {"type": "string"}, "", zero=zero)
    if kind is Kind.BYTES:
        return _zero_or(_bytes(rules, absent=absent), {"type": "string"}, "", zero=zero)
    if kind is Kind.TIME:
        return {"type": "string", "format": "date-time", "pattern": f"^{TIME}$"}
    return {"type": "string", "pattern": _DURATION}


def key_schema(key: FieldDescriptor, rules: FieldRules) -> Schema:
    """Of the names in an object that is a map."""
    kind = kind_of(key)
    if kind is Kind.BOOL:
        return {"enum": ["false", "true"]}
    if kind is Kind.TEXT:
        return {} if rules.ignored else _text(rules, absent=False)
    schema: Schema = {"pattern": f"^(?:{DECIMAL})$"}
    if not rules.ignored and "in" in rules.values:
        schema = {"enum": [str(value) for value in rules.values["in"]]}
    return schema


def is_set(field: FieldDescriptor) -> Schema:
    """What a field is in JSON when it counts as set: not null, and not zero where it cannot tell zero from a missing value."""
    if field.has_presence:
        return {"not": {"type": "null"}}
    zeros: list[Any] = [None, 0, "0", "", False, [], {}]
    if field.enum_type is not None:
        zeros += [value.name for value in field.enum_type.values if value.number == 0]
    if kind_of(field) is Kind.TEXT:
        zeros.remove("0")
    return {"not": {"enum": zeros}}


def as_json(field: FieldDescriptor, value: Any, *, answer: bool) -> Any:
    """An example of a field as JSON shows it."""
    plain = kind_of(field) is Kind.INTEGER and not answer
    return value if plain else writer(field)(value)


def describe(rules: FieldRules) -> str:
    """In words, the rules on times and formats."""
    if rules.ignored or rules.kind not in ("timestamp", "duration"):
        return ""
    words = _TIMES if rules.kind == "timestamp" else _LENGTHS
    told = [words[name].format(value.ToJsonString()) for name, value in rules.values.items() if name in words]
    told += [text for name, text in (("lt_now", "in the past"), ("gt_now", "in the future")) if rules.values.get(name)]
    told += [f"one of {', '.join(each.ToJsonString() for each in rules.values['in'])}"] if "in" in rules.values else []
    return f"Must be {' and '.join(told)}." if told else ""


def _bool(rules: FieldRules, *, zero: bool, absent: bool) -> Schema:
    allowed = [value for value in (False, True) if rules.values.get("const", value) == value or (zero and not value)]
    if rules.required and absent:
        allowed = [value for value in allowed if value]
    return {"type": "boolean"} if len(allowed) == 2 else {"enum": allowed} if allowed else {"not": {}}


def _number(field: FieldDescriptor, rules: FieldRules, *, answer: bool, zero: bool, absent: bool) -> Schema:
    whole = field.cpp_type in INTEGERS
    if whole and field.cpp_type in LONG and answer:
        return {"type": "string", "pattern": f"^(?:{DECIMAL})$"}
    least, most = INTEGERS[field.cpp_type] if whole else (-LARGEST[field.cpp_type], LARGEST[field.cpp_type])
    plain: Schema = {"type": "integer" if whole else "number", "minimum": least, "maximum": most}
    bounds = _bounds(rules)
    if rules.required and absent:
        bounds |= {"not": {"enum": [0, *bounds.get("not", {}).get("enum", ())]}}  # Zero means missing there.
    elif zero and bounds:
        return plain | {"anyOf": [{"const": 0}, bounds]}
    if not whole and bounds.keys() & {"minimum", "exclusiveMinimum"}:
        plain.pop("minimum")
    if not whole and bounds.keys() & {"maximum", "exclusiveMaximum"}:
        plain.pop("maximum")
    if whole and field.cpp_type in LONG and not bounds:
        return {"anyOf": [plain, {"type": "string", "pattern": _SHORT_DECIMAL if least < 0 else _DECIMAL_UNSIGNED}]}
    return plain | bounds


def _bounds(rules: FieldRules) -> Schema:
    values = {name: value for name, value in rules.values.items() if not (isinstance(value, float) and not math.isfinite(value))}
    schema: Schema = {}
    low = {_WORDS[name]: values[name] for name in ("gt", "gte") if name in values}
    high = {_WORDS[name]: values[name] for name in ("lt", "lte") if name in values}
    if low and high and min(high.values()) < max(low.values()):
        schema |= {"anyOf": [high, low]}  # A lower bound above the upper one means outside of the gap.
    else:
        schema |= low | high
    return schema | _listed(rules)


def _listed(rules: FieldRules) -> Schema:
    """The rules that list values."""
    schema: Schema = {}
    if "const" in rules.values:
        schema["const"] = rules.values["const"]
    if "in" in rules.values:
        schema["enum"] = list(rules.values["in"])
    if "not_in" in rules.values:
        schema["not"] = {"enum": list(rules.values["not_in"])}
    return schema


def _enum(enum: EnumDescriptor, rules: FieldRules, *, answer: bool, zero: bool, absent: bool) -> Schema:
    def fine(number: int) -> bool:
        if number == 0 and absent and (rules.required or zero):
            return not rules.required
        values = rules.values
        return (
            number == values.get("const", number)
            and number in values.get("in", (number,))
            and number not in values.get("not_in", ())
        )

    names = [str(value.name) for value in enum.values if fine(value.number)]
    if answer:
        return {"type": "string", "enum": names}
    closed = enum.is_closed or any(name in rules.values for name in ("const", "in", "defined_only"))
    if closed:
        listed = rules.values.get("in") or ((rules.values["const"],) if "const" in rules.values else ())
        free = () if rules.values.get("defined_only") or enum.is_closed else listed
        numbers = sorted(
            {value.number for value in enum.values if fine(value.number)} | {number for number in free if fine(number)}
        )
        if zero and absent and not rules.required:
            numbers = sorted({0, *numbers})
        return {"enum": [*names, *numbers]} if names or numbers else {"not": {}}
    least, most = INTEGERS[FieldDescriptor.CPPTYPE_INT32]
    number: Schema = {"type": "integer", "minimum": least, "maximum": most}
    barred = [value for value in rules.values.get("not_in", ()) if not (value == 0 and zero and absent)]
    barred += [0] if rules.required and absent else []
    if barred:
        number["not"] = {"enum": barred}
    return {"anyOf": [{"type": "string", "enum": names}, number]} if names else number


def _text(rules: FieldRules, *, absent: bool) -> Schema:
    values = rules.values
    schema: Schema = {"type": "string"} | _listed(rules)
    low = [values[name] for name in ("min_len", "len") if name in values] + ([1] if rules.required and absent else [])
    high = [values[name] for name in ("max_len", "len") if name in values]
    schema |= {"minLength": max(low)} if low else {}
    schema |= {"maxLength": min(high)} if high else {}
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


def _literal(text: str) -> str:
    """A regular expression for just this text, in the common part of all dialects."""
    return "".join(f"\\{c}" if c in r"\^$.|?*+()[]{}/" else c for c in text)


def _bytes(rules: FieldRules, *, absent: bool) -> Schema:
    values = rules.values
    low = max([values[name] for name in ("min_len", "len") if name in values] + [1 if rules.required and absent else 0])
    high = min([values[name] for name in ("max_len", "len") if name in values], default=None)
    schema: Schema = {"type": "string", "contentEncoding": "base64", "pattern": f"^(?:{_base64(low, high)})$"}
    if "const" in values:
        schema["const"] = base64.b64encode(values["const"]).decode()
    if "in" in values:
        schema["enum"] = [base64.b64encode(value).decode() for value in values["in"]]
    if "not_in" in values:
        schema["not"] = {"enum": [base64.b64encode(value).decode() for value in values["not_in"]]}
    return schema


def _base64(low: int, high: int | None) -> str:
    """Base64 of so many bytes: three bytes are four characters, and one or two left over are padded."""
    forms = []
    for left, tail in ((0, ""), (1, "[A-Za-z0-9+/]{2}=="), (2, "[A-Za-z0-9+/]{3}=")):
        fewest = max(0, math.ceil((low - left) / 3))
        most = "" if high is None else (high - left) // 3
        if high is None or (high >= left and fewest <= (high - left) // 3):
            forms.append(f"(?:[A-Za-z0-9+/]{{4}}){{{fewest},{most}}}{tail}")
    return "|".join(forms) or "(?!)"


def _zero_or(ruled: Schema, plain: Schema, zero_value: Any, *, zero: bool) -> Schema:
    return plain | {"anyOf": [{"const": zero_value}, ruled]} if zero and ruled != plain else ruled
