"""Hypothesis strategies for contracts with every kind of field and rule, and for valid and invalid documents."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Draw = Any

INTEGERS = ("int32", "int64", "uint32", "uint64", "sint32", "sfixed64")
WRAPPERS = {
    "google.protobuf.DoubleValue": "double",
    "google.protobuf.Int64Value": "int64",
    "google.protobuf.StringValue": "string",
    "google.protobuf.BoolValue": "bool",
    "google.protobuf.BytesValue": "bytes",
    "google.protobuf.UInt32Value": "uint32",
}
TIMES = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
SCALARS = (*("double", "string", "bytes", "Color") * 3, "float", *INTEGERS, "bool")

ODD = st.sampled_from(
    [
        *(True, False, 0, 1, -1, 1.0, 0.5, 2**31, 2**63, -(2**63) - 1, 1e300, -1e39, [], {}, [1], {"a": 1}),
        *("1", "", "a", "-0", "1e3", "01", "COLOR_RED", "COLOR_PINK", "AA==", "AA", "-_-_", "\ud800", "1.5s", "1.5", "-3s"),
        *("2026-01-31T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-31t00:00:00z"),
    ]
)

halves = st.integers(-4, 4).map(lambda n: n / 2)
whole = st.integers(-3, 3)
texts = st.text("abé", max_size=4)
datas = st.binary(max_size=4)
seconds = st.integers(-3, 3)
GOOD: dict[str, Any] = {
    "double": st.one_of(halves, whole),
    "float": halves,
    **dict.fromkeys(INTEGERS, whole),
    "uint32": whole.map(abs),
    "uint64": whole.map(abs),
    "bool": st.booleans(),
    "string": texts,
    "bytes": datas.map(lambda data: base64.b64encode(data).decode()),
    "Color": st.one_of(st.sampled_from(["COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_BLUE"]), st.integers(-1, 3)),
    "timestamp": seconds.map(lambda s: f"1970-01-01T00:00:0{s + 3}.5+00:00" if s % 2 else f"1970-01-01T00:00:0{s + 3}Z"),
    "duration": seconds.map(lambda s: f"{s}s" if s % 2 else f"{s}.500s"),
}
LONG = ("int64", "uint64", "sfixed64")


@dataclass
class GeneratedMessage:
    """A generated message of features, and documents for it."""

    name: str
    declared: str
    """Its declaration, with the messages that it uses."""
    documents: list[Any]
    in_schema: bool
    """Whether JSON Schema can express all its rules, and the form of all its values."""


@st.composite
def rules(draw: Draw, kind: str, *, few: bool = False) -> tuple[str, bool]:
    """Rules on a value as protobuf text, such as `gte: 0, lt: 2`, and whether JSON Schema can express them."""

    def maybe(against: int = 2) -> bool:
        """True once in `against` + 1 draws."""
        return bool(draw(st.sampled_from([True] + [False] * against)))

    if not maybe(2 if few else 1):
        return "", True
    if kind in ("double", "float", *INTEGERS):
        numbers = halves if kind in ("double", "float") else whole.map(abs) if kind.startswith("u") else whole
        names = [draw(st.sampled_from(["gt", "gte"])), draw(st.sampled_from(["lt", "lte"]))]
        found = [f"{name}: {draw(numbers)}" for name in names if maybe()]
        found += [f"{name}: {draw(st.lists(numbers, min_size=1, max_size=3))}" for name in ("in", "not_in") if maybe(5)]
        found += ["finite: true"] if kind in ("double", "float") and maybe() else []
        return ", ".join(found), True
    if kind == "bool":
        return (f"const: {json.dumps(draw(st.booleans()))}", True) if maybe() else ("", True)
    if kind == "string":
        found = [f"{name}: {draw(st.integers(0, 3))}" for name in ("min_len", "max_len", "len") if maybe(4)]
        found += [f"{name}: {quoted(draw(texts))}" for name in ("prefix", "suffix", "contains", "not_contains") if maybe(5)]
        found += [
            f"{name}: [{', '.join(map(quoted, draw(st.lists(texts, min_size=1, max_size=3))))}]"
            for name in ("in", "not_in")
            if maybe(5)
        ]
        found += ['pattern: "^[ab]*$"'] if maybe(5) else []
        return ", ".join(found), True
    if kind == "bytes":
        found = [f"{name}: {draw(st.integers(0, 3))}" for name in ("min_len", "max_len", "len") if maybe(3)]
        found += [f"in: [{', '.join(map(octets, draw(st.lists(datas, min_size=1, max_size=3))))}]"] if maybe(5) else []
        return ", ".join(found), True
    if kind == "Color":
        found = ["defined_only: true"] if maybe(1) else []
        found += [f"{name}: {draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))}" for name in ("in", "not_in") if maybe(2)]
        return ", ".join(found), True
    found = [f"{name}: {{seconds: {draw(seconds)}}}" for name in ("gt", "lte") if maybe()]
    return ", ".join(found), not found


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def octets(data: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def group(kind: str) -> str:
    return "enum" if kind == "Color" else kind


@st.composite
def options(draw: Draw, rules: list[str], *, always: bool = True) -> str:
    """The options of a field: its rules, and perhaps `required` and `ignore`."""
    found = list(filter(None, rules))
    if draw(st.sampled_from([True, False, False, False])):
        found.append("required: true")
    ignore = draw(st.sampled_from([""] * 8 + ["IGNORE_IF_ZERO_VALUE", *(["IGNORE_ALWAYS"] if always else [])]))
    found += [f"ignore: {ignore}"] if ignore else []
    return f" [(buf.validate.field) = {{{', '.join(found)}}}]" if found else ""


@dataclass
class GeneratedField:
    """A generated field, and a strategy for mostly valid values."""

    declared: str
    """Its declaration with the placeholders NAME and NUMBER."""
    good: Any
    in_schema: bool = True

    def numbered(self, name: str, number: int) -> str:
        return self.declared.replace("NAME", name).replace("NUMBER", str(number))


@st.composite
def singles(draw: Draw, *, bare: bool = False, kinds: tuple[str, ...] = (*SCALARS, *WRAPPERS, *TIMES)) -> GeneratedField:
    kind = draw(st.sampled_from(kinds))
    inner = WRAPPERS.get(kind) or TIMES.get(kind) or kind
    text, in_schema = draw(rules(inner))
    presence = "" if bare or kind in WRAPPERS or kind in TIMES else draw(st.sampled_from(["", "optional "]))
    field_options = draw(options([f"{group(inner)}: {{{text}}}" if text else ""]))
    in_schema = in_schema and inner != "timestamp"  # Validators take `format` as a comment.
    return GeneratedField(f"{presence}{kind} NAME = NUMBER{field_options};", GOOD[inner], in_schema)


@st.composite
def lists(draw: Draw) -> GeneratedField:
    kind = draw(st.sampled_from([*SCALARS, *WRAPPERS]))
    inner = WRAPPERS.get(kind) or kind
    text, in_schema = draw(rules(inner, few=True))
    length = draw(st.integers(1, 3))
    unique = ", unique: true" if kind in ("int32", "string", "bool") and draw(st.integers(0, 3)) == 0 else ""
    items = f", items: {{{group(inner)}: {{{text}}}}}" if text else ""
    field_options = draw(options([f"repeated: {{min_items: {length}, max_items: {length}{items}{unique}}}"], always=False))
    good = st.lists(GOOD[inner], min_size=length, max_size=length)
    mostly_good = st.one_of(good, good, st.lists(GOOD[inner], max_size=4))
    return GeneratedField(f"repeated {kind} NAME = NUMBER{field_options};", mostly_good, in_schema)


@st.composite
def maps(draw: Draw) -> GeneratedField:
    key, names = draw(st.sampled_from([("string", ["a", "b", "c"]), ("int32", ["-1", "0", "7"]), ("bool", ["true", "false"])]))
    kind = draw(st.sampled_from(["double", "int64", "string", "bool", "Color"]))
    text, in_schema = draw(rules(kind, few=True))
    listed = ", ".join(map(quoted, names) if key == "string" else names)
    parts = [f"keys: {{{key}: {{in: [{listed}]}}}}"] if key != "bool" else []
    parts += [f"values: {{{group(kind)}: {{{text}}}}}"] if text else []
    parts += [f"min_pairs: {draw(st.integers(1, 3))}"] if draw(st.booleans()) else []
    field_options = draw(options([f"map: {{{', '.join(parts)}}}"], always=False))
    good = st.dictionaries(st.sampled_from(names), GOOD[kind], max_size=3)
    odd = st.dictionaries(st.sampled_from([*names, "d", "01", "True"]), st.one_of(GOOD[kind], st.none()), max_size=3)
    return GeneratedField(f"map<{key}, {kind}> NAME = NUMBER{field_options};", st.one_of(good, good, odd), in_schema)


@st.composite
def messages(draw: Draw, number: int) -> GeneratedMessage:
    """A message of up to six fields, perhaps with a nested message and a oneof, and eight documents for it."""
    fields: dict[str, GeneratedField] = {}
    in_schema, parts, nested = True, [], ""
    fast = draw(st.sampled_from([True, False, False]))  # The server has a fast path for rows of floats.
    for place in range(draw(st.integers(1, 3))):
        anything = st.one_of(singles(), singles(), lists(), maps())
        fields[f"f{place}"] = draw(singles(kinds=("double", "double", "float")) if fast else anything)
    if not fast and draw(st.integers(0, 2)) == 0:
        inner = {f"g{place}": draw(singles()) for place in range(draw(st.integers(1, 2)))}
        lines = [field.numbered(name, place) for place, (name, field) in enumerate(inner.items(), 1)]
        nested = f"message In{number} {{ {' '.join(lines)} }}\n"
        fields["inside"] = GeneratedField(
            f"In{number} NAME = NUMBER{draw(options([]))};", documents(inner), all(field.in_schema for field in inner.values())
        )
    lines = [field.numbered(name, place) for place, (name, field) in enumerate(fields.items(), 1)]
    if not fast and draw(st.integers(0, 2)) == 0:
        members = {name: draw(singles(bare=True)) for name in ("left", "right")}
        required = "option (buf.validate.oneof).required = true; " if draw(st.booleans()) else ""
        choice = [field.numbered(name, 10 + place) for place, (name, field) in enumerate(members.items())]
        lines.append(f"oneof side {{ {required}{' '.join(choice)} }}")
        fields |= members
    singular = [name for name, field in fields.items() if field.declared.startswith(("optional", "google"))]
    if len(singular) > 1 and draw(st.integers(0, 3)) == 0:
        required = json.dumps(draw(st.booleans()))
        parts = [f"option (buf.validate.message).oneof = {{fields: {json.dumps(singular[:2])}, required: {required}}};"]
    elif fast and len(fields) > 1 and draw(st.booleans()):
        parts = [
            'option (buf.validate.message).cel = {id: "order", message: "in order, please", expression: "this.f0 <= this.f1"};'
        ]
        in_schema = False
    elif "f0" in singular and draw(st.integers(0, 4)) == 0:
        parts = ['option (buf.validate.message).cel = {id: "some", message: "f0 must be there", expression: "has(this.f0)"};']
        in_schema = False
    in_schema = in_schema and all(field.in_schema for field in fields.values())
    declared = f"{nested}message F{number} {{ {' '.join([*lines, *parts])} }}\n"
    return GeneratedMessage(f"F{number}", declared, draw(st.lists(documents(fields), min_size=8, max_size=8)), in_schema)


@st.composite
def documents(draw: Draw, fields: dict[str, GeneratedField]) -> Any:
    """A document for these fields: values are mostly valid, sometimes absent, null or of another type."""
    found: dict[str, Any] = {}
    for name, field in fields.items():
        how = draw(st.sampled_from(["good"] * 20 + ["absent", "null", "odd"]))
        if how == "absent" or (name == "right" and "left" in found and how == "good"):
            continue
        found[name] = draw(ODD) if how == "odd" else None if how == "null" else draw(field.good)
    if draw(st.sampled_from([False] * 40 + [True])):
        found["unknown"] = 1
    return draw(ODD) if draw(st.sampled_from([False] * 50 + [True])) else found
