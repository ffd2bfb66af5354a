"""Contracts drafted from any columns compile, pass buf's lint and format, and have valid examples."""

import json
import math
from pathlib import Path

import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from foretell.check.training_range import Range, range_in_comment
from foretell.init.draft_contract import draft_contract
from foretell_contract.contract import load
from foretell_contract.examples.example import example as example_of
from foretell_contract.fields import value_field
from foretell_contract.source.spelling import Names, enum_prefix, pascal, snake, upper
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.checks.training_columns import Column
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.rows.outputs import KINDS, Output
from grpc_server.rows.response_fields import FieldResolver
from grpc_server.rows.targets import Target
from tests.foretell.init.test_init_command import buf
from tests.support.effort import tries

ODD = [
    "class",
    "2nd",
    "größe",
    "长度",
    "a b",
    "a_b",
    "A B",
    "aB",
    "a.b",
    "message",
    "optional",
    "reserved",
    "rows",
    "_",
    "x1",
    "x_1",
]
NAMES = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=12))
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
FINITE = st.floats(-1e12, 1e12)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    name, kind = draw(NAMES), draw(st.sampled_from(["double", "int", "bool", "text", "enum", "time", "bare", "wide"]))
    if kind == "bare":
        return Column(name, draw(st.sampled_from([Dtype(), Dtype("object"), Dtype("bool"), Dtype("int64")])))
    if kind == "enum":
        labels = tuple(draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True)))
        return Column(name, Dtype("object", labels), labels, nullable=draw(st.booleans()), example=labels[0])
    values = {
        "double": st.one_of(FINITE, st.floats(-1, 1)),
        "int": st.integers(-(2**64), 2**64),
        "bool": st.booleans(),
        "text": TEXTS,
        "wide": TEXTS,
        "time": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    }[kind]
    drawn = tuple(draw(st.lists(values, min_size=1, max_size=30)))
    dtype = Dtype({"text": "object", "wide": "object", "time": "datetime64[us]"}.get(kind, "float64"))
    drawn = tuple(map(float, drawn)) if kind == "double" else drawn  # type: ignore[arg-type]
    return Column(name, dtype, drawn, nullable=draw(st.booleans()), example=drawn[0])


@st.composite
def descriptions(draw: st.DrawFn) -> ModelDescription:
    held = draw(st.lists(columns(), min_size=1, max_size=6, unique_by=lambda column: column.name))
    classes = tuple(
        draw(st.lists(st.one_of(st.sampled_from(["", "A", "a", "-1", "1", "None"]), TEXTS), min_size=2, max_size=25, unique=True))
    )
    outputs = (Output("label"), *(Output("probability", item) for item in range(len(classes))))
    return ModelDescription(tuple(held), (Target("", classes),), outputs, {"label": classes[0]}, b"", named=True)


@pytest.mark.slow
@given(
    st.lists(descriptions(), min_size=8, max_size=8),
    st.lists(st.one_of(st.sampled_from(["", *KINDS]), NAMES), min_size=8, max_size=8),
)
@settings(max_examples=tries(2, 20), derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(300)
def test_any_columns_make_a_valid_contract(
    tmp_path_factory: pytest.TempPathFactory, models: list[ModelDescription], targets: list[str]
) -> None:
    """Checks several contracts at a time, because buf and protoc take longer to start than to run."""
    root = tmp_path_factory.mktemp("drafted")
    for place, model in enumerate(models):
        written = draft_contract(model, f"m{place}.v1", f"/m{place}/predict", targets[place % len(targets)], {})
        file = root / f"protos/m{place}/v1/m{place}.proto"
        file.parent.mkdir(parents=True)
        file.write_text(written.text, encoding="utf-8")
    contract = load(root / "protos")
    for service, model in zip(contract.services, models, strict=True):
        row = service.methods[0].features
        fields = {contract.options.get(field, "foretell.v1.column") or field.name for field in row.fields}
        assert fields == {column.name for column in model.columns}
        sources = FieldResolver(contract, model.targets, model.outputs, problems := [])
        held = [sources.of(field, None) for field in service.methods[0].answer.fields]
        assert problems == []
        assert held[0].kind == "label"
        assert len(held) == 2 or sorted(source.item or 0 for source in held[1:]) == list(range(len(model.targets[0].classes)))
        shown = example_of(row, contract.rules)
        assert (shown is None) <= any(column.example is None for column in model.columns)
        assert all(value_field(field) is field for field in row.fields)
    for arguments in (("format", "-d", "--exit-code", *_excluded()), ("lint",)):
        done = buf(root, *arguments)
        assert (done.returncode, done.stdout) == (0, ""), "\n".join(file.read_text() for file in root.glob("protos/m*/v1/*"))


def _excluded() -> list[str]:
    return [f"--exclude-path=protos/{folder}" for folder in ("buf", "google", "foretell")]


@pytest.mark.parametrize(
    ("enum", "prefix"),
    [
        ("Species", "SPECIES_"),
        ("SepalLength", "SEPAL_LENGTH_"),
        ("HTTPKind", "HTTP_KIND_"),
        ("Kind0A", "KIND0A_"),
        ("Kind0Ab", "KIND0_AB_"),
        ("KindA0", "KIND_A0_"),
        ("A", "A_"),
    ],
)
def test_enum_prefix_passes_bufs_lint(tmp_path: Path, enum: str, prefix: str) -> None:
    assert enum_prefix(enum) == prefix
    file = tmp_path / "protos/enums/v1/enums.proto"
    file.parent.mkdir(parents=True)
    lines = ("// A test.", 'syntax = "proto3";', "", "package enums.v1;", "", "// One.", f"enum {enum} {{", "  // None.")
    file.write_text("\n".join((*lines, f"  {prefix}UNSPECIFIED = 0;", "}", "")))
    done = buf(tmp_path, "lint")
    assert (done.returncode, done.stdout) == (0, "")


@given(st.lists(NAMES, max_size=10))
def test_names_are_unique_snake_case(names: list[str]) -> None:
    taken = Names()
    made = [taken.take(snake(name, "column")) for name in names]
    assert all(name.isascii() and name[0].isalpha() and "__" not in name and name == name.lower() for name in made)
    assert len({name.replace("_", "") for name in made}) == len(made)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sepal length (cm)", "sepal_length_cm"),
        ("SepalLengthCM", "sepal_length_cm"),
        ("2nd width", "column_2nd_width"),
        ("Größe", "grosse"),
        ("长度", "zhang_du"),
        ("pH", "p_h"),
        ("5G", "column_5g"),
        ("x1Max", "x1_max"),
    ],
)
def test_column_name_becomes_snake_case(name: str, expected: str) -> None:
    assert snake(name, "column") == expected
    assert pascal(name, "column").isalnum()


@pytest.mark.parametrize(
    ("label", "expected"), [("5G Max", "5G_MAX"), ("pre-paid", "PRE_PAID"), ("2.5", "2_5"), ("Größe", "GROSSE"), ("长", "ZHANG")]
)
def test_label_becomes_upper_snake_case(label: str, expected: str) -> None:
    assert upper(label, "value") == expected


def test_python_keyword_gets_another_name() -> None:
    assert [Names().take(name) for name in ("class", "classes")] == ["class_value", "classes"]


@given(st.sampled_from(["double", "int64"]), FINITE, FINITE)
@example("double", 0.0, 0.0)
def test_bounds_are_the_same_from_the_sentence(kind: str, one: float, other: float) -> None:
    pair = sorted((one, other) if kind == "double" else (int(one), int(other)))
    known = Range(kind, pair[0], pair[1])
    low, high = known.bounds
    assert low <= known.low <= known.high <= high
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    again = range_in_comment(kind, f"A number. {known.sentence} More.")
    assert again is not None
    assert again.options == known.options


def test_bounds_are_round_and_respect_zero() -> None:
    assert Range("double", 4.3, 7.9).bounds == (2.4, 9.7)
    assert Range("double", 0.1, 2.5).bounds == (0, 3.7)
    assert Range("int64", 18, 89).bounds == (0, 125)
    assert Range("double", -3, -1).bounds == (-4, 0)
    assert Range("double", 5, 5).bounds == (2.5, 7.5)


def test_timestamp_bounds_cover_centuries() -> None:
    known = Range("timestamp", 0, 86400 * 400)
    assert known.sentence == "Seen in training: 1970-01-01 to 1971-02-05."
    assert known.accepted == "Accepted: 1900-01-01 to 2200-01-01."
    again = range_in_comment("timestamp", known.sentence)
    assert again is not None
    assert again.bounds == known.bounds
    assert dict(known.options) == {
        "(buf.validate.field).timestamp.gte.seconds": "-2208988800",
        "(buf.validate.field).timestamp.lte.seconds": "7258118400",
    }


LENGTHS = st.integers(-(10**15), 10**15).map(lambda microseconds: microseconds / 1e6)


@given(LENGTHS, LENGTHS)
@example(-0.5, 0.25)
@example(0.0, 1e-06)
def test_duration_bounds_are_the_same_from_the_sentence(one: float, other: float) -> None:
    known = Range("duration", *sorted((one, other)))
    low, high = known.bounds
    assert low <= known.low <= known.high <= high
    assert low < high
    again = range_in_comment("duration", f"{known.sentence} {known.accepted}")
    assert again is not None
    assert again.options == known.options


def test_duration_bounds_are_seconds_in_rules() -> None:
    known = Range("duration", 269, 89815.5)
    assert (known.sentence, known.accepted) == ("Seen in training: 4m29s to 1d56m55.5s.", "Accepted: 0s to 1d14h.")
    assert dict(known.options) == {
        "(buf.validate.field).duration.gte.seconds": "0",
        "(buf.validate.field).duration.lte.seconds": "136800",
    }
    assert Range("duration", -30, -30).span == "-30s to -30s"


def test_odd_column_name_is_quoted(tmp_path: Path) -> None:
    odd = 'a"b\\c\n\t\u0001é'
    model = ModelDescription(
        (Column(odd, Dtype(), (1.0, 2.0), example=1.0),), (Target("", ("x", "y")),), (Output("probability"),), {}, b"", named=True
    )
    file = tmp_path / "m/v1/m.proto"
    file.parent.mkdir(parents=True)
    file.write_text(draft_contract(model, "m.v1", "/m/predict", "", {}).text)
    contract = load(tmp_path)
    (field,) = contract.services[0].methods[0].features.fields
    assert contract.options.get(field, "foretell.v1.column") == odd
    assert json.loads(json.dumps(odd)) == odd
    assert GetMessageClass(contract.services[0].methods[0].features)() is not None


@pytest.mark.parametrize(
    "status", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]
)
def test_service_lists_the_statuses_of_a_call(status: str) -> None:
    model = ModelDescription((Column("a", Dtype()),), (Target("", ()),), (Output("value"),), {}, b"", named=True)
    assert f"// - {status}: " in draft_contract(model, "m.v1", "/m/predict", "", {}).text
