"""Contracts made up from every kind of field and rule, and documents for them that are good, nearly good, or odd."""

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
class Row:
    """A made-up message of features."""

    name: str
    declared: str
    """Its text, with the messages that it needs."""
    documents: list[Any]
    told: bool
    """Whether JSON Schema can say all its rules."""


@st.composite
def rules(draw: Draw, kind: str, *, few: bool = False) -> tuple[str, bool]:
    """Rules on a value as protobuf text, such as `gte: 0, lt: 2`, and whether JSON Schema can say them."""

    def maybe(often: int = 2) -> bool:
        return bool(draw(st.sampled_from([True] + [False] * often)))

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
def options(draw: Draw, told: list[str], *, always: bool = True) -> str:
    """The rules on a field with `required` and `ignore` beside them."""
    found = list(filter(None, told))
    if draw(st.sampled_from([True, False, False, False])):
        found.append("required: true")
    ignore = draw(st.sampled_from([""] * 8 + ["IGNORE_IF_ZERO_VALUE", *(["IGNORE_ALWAYS"] if always else [])]))
    found += [f"ignore: {ignore}"] if ignore else []
    return f" [(buf.validate.field) = {{{', '.join(found)}}}]" if found else ""


@dataclass
class Made:
    """A made-up field."""

    declared: str
    """With NAME and NUMBER in their places."""
    good: Any
    told: bool = True

    def numbered(self, name: str, number: int) -> str:
        return self.declared.replace("NAME", name).replace("NUMBER", str(number))


@st.composite
def singles(draw: Draw, *, bare: bool = False, kinds: tuple[str, ...] = (*SCALARS, *WRAPPERS, *TIMES)) -> Made:
    kind = draw(st.sampled_from(kinds))
    inner = WRAPPERS.get(kind) or TIMES.get(kind) or kind
    told, sayable = draw(rules(inner))
    presence = "" if bare or kind in WRAPPERS or kind in TIMES else draw(st.sampled_from(["", "optional "]))
    said = draw(options([f"{group(inner)}: {{{told}}}" if told else ""]))
    return Made(f"{presence}{kind} NAME = NUMBER{said};", GOOD[inner], sayable)


@st.composite
def lists(draw: Draw) -> Made:
    kind = draw(st.sampled_from([*SCALARS, *WRAPPERS]))
    inner = WRAPPERS.get(kind) or kind
    told, sayable = draw(rules(inner, few=True))
    length = draw(st.integers(1, 3))
    unique = ", unique: true" if kind in ("int32", "string", "bool") and draw(st.integers(0, 3)) == 0 else ""
    items = f", items: {{{group(inner)}: {{{told}}}}}" if told else ""
    said = draw(options([f"repeated: {{min_items: {length}, max_items: {length}{items}{unique}}}"], always=False))
    good = st.lists(GOOD[inner], min_size=length, max_size=length)
    return Made(f"repeated {kind} NAME = NUMBER{said};", st.one_of(good, good, st.lists(GOOD[inner], max_size=4)), sayable)


@st.composite
def maps(draw: Draw) -> Made:
    key, names = draw(st.sampled_from([("string", ["a", "b", "c"]), ("int32", ["-1", "0", "7"]), ("bool", ["true", "false"])]))
    kind = draw(st.sampled_from(["double", "int64", "string", "bool", "Color"]))
    told, sayable = draw(rules(kind, few=True))
    listed = ", ".join(map(quoted, names) if key == "string" else names)
    parts = [f"keys: {{{key}: {{in: [{listed}]}}}}"] if key != "bool" else []
    parts += [f"values: {{{group(kind)}: {{{told}}}}}"] if told else []
    parts += [f"min_pairs: {draw(st.integers(1, 3))}"] if draw(st.booleans()) else []
    said = draw(options([f"map: {{{', '.join(parts)}}}"], always=False))
    good = st.dictionaries(st.sampled_from(names), GOOD[kind], max_size=3)
    odd = st.dictionaries(st.sampled_from([*names, "d", "01", "True"]), st.one_of(GOOD[kind], st.none()), max_size=3)
    return Made(f"map<{key}, {kind}> NAME = NUMBER{said};", st.one_of(good, good, odd), sayable)


@st.composite
def rows(draw: Draw, number: int) -> Row:
    """One message of up to four fields, perhaps with one inside and a oneof, and documents for it."""
    fields: dict[str, Made] = {}
    told, parts, inside = True, [], ""
    fast = draw(st.sampled_from([True, False, False]))  # Rows of nothing but floats have a way of their own through the server.
    for place in range(draw(st.integers(1, 3))):
        anything = st.one_of(singles(), singles(), lists(), maps())
        fields[f"f{place}"] = draw(singles(kinds=("double", "double", "float")) if fast else anything)
    if not fast and draw(st.integers(0, 2)) == 0:
        inner = {f"g{place}": draw(singles()) for place in range(draw(st.integers(1, 2)))}
        lines = [made.numbered(name, place) for place, (name, made) in enumerate(inner.items(), 1)]
        inside = f"message In{number} {{ {' '.join(lines)} }}\n"
        fields["inside"] = Made(
            f"In{number} NAME = NUMBER{draw(options([]))};", documents(inner), all(made.told for made in inner.values())
        )
    lines = [made.numbered(name, place) for place, (name, made) in enumerate(fields.items(), 1)]
    if not fast and draw(st.integers(0, 2)) == 0:
        rivals = {name: draw(singles(bare=True)) for name in ("left", "right")}
        demand = "option (buf.validate.oneof).required = true; " if draw(st.booleans()) else ""
        choice = [made.numbered(name, 10 + place) for place, (name, made) in enumerate(rivals.items())]
        lines.append(f"oneof side {{ {demand}{' '.join(choice)} }}")
        fields |= rivals
    singular = [name for name, made in fields.items() if made.declared.startswith(("optional", "google"))]
    if len(singular) > 1 and draw(st.integers(0, 3)) == 0:
        demand = json.dumps(draw(st.booleans()))
        parts = [f"option (buf.validate.message).oneof = {{fields: {json.dumps(singular[:2])}, required: {demand}}};"]
    elif fast and len(fields) > 1 and draw(st.booleans()):
        parts = [
            'option (buf.validate.message).cel = {id: "order", message: "in order, please", expression: "this.f0 <= this.f1"};'
        ]
        told = False
    elif "f0" in singular and draw(st.integers(0, 4)) == 0:
        parts = ['option (buf.validate.message).cel = {id: "some", message: "f0 must be there", expression: "has(this.f0)"};']
        told = False
    told = told and all(made.told for made in fields.values())
    declared = f"{inside}message F{number} {{ {' '.join([*lines, *parts])} }}\n"
    return Row(f"F{number}", declared, draw(st.lists(documents(fields), min_size=8, max_size=8)), told)


@st.composite
def documents(draw: Draw, fields: dict[str, Made]) -> Any:
    """A document for these fields: each most often good, at times absent, null or odd."""
    found: dict[str, Any] = {}
    for name, made in fields.items():
        how = draw(st.sampled_from(["good"] * 20 + ["absent", "null", "odd"]))
        if how == "absent" or (name == "right" and "left" in found and how == "good"):
            continue
        found[name] = draw(ODD) if how == "odd" else None if how == "null" else draw(made.good)
    if draw(st.sampled_from([False] * 40 + [True])):
        found["unknown"] = 1
    return draw(ODD) if draw(st.sampled_from([False] * 50 + [True])) else found
