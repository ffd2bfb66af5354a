"""The fast codec of number rows agrees with the Codec wherever it returns a result."""

import json
import math
import struct
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract, load
from foretell_contract.custom_options import CustomOptions
from foretell_contract.rules.rules import Rules
from foretell_contract.service import Method
from rest_bridge.json.codec import Codec, document_of
from rest_bridge.json.number_row_codec import NumberRowCodec, number_row_codec
from rest_bridge.json.request_problems import RequestProblems, RequestRefused
from rest_bridge.json.scalars import Form
from rest_bridge.json.strict_reader import read_document
from tests.support.contract_files import write_contract
from tests.support.effort import tries
from tests.support.messages import DOUBLE, FLOAT, NumberField, pool_of, row_and_batch

FIELDS = [
    NumberField(1),
    NumberField(2, DOUBLE, False, custom_name="class"),
    NumberField(30, FLOAT, custom_name="_"),
    NumberField(31, FLOAT, False, custom_name="self"),
]
NAMES = [field.name for field in FIELDS]
MAX_ROWS = 4


class Codecs:
    """The Codec and the fast codec of one message."""

    def __init__(self, contract: Contract, *, batch: bool) -> None:
        pool = pool_of(contract.descriptor_set)
        rules = Rules(CustomOptions(pool))
        row, many = row_and_batch(FIELDS, 3, pool, {"min_items": 1, "max_items": MAX_ROWS})
        self.message, self.rows = (many, many.fields[0]) if batch else (row, None)
        self.codec = Codec(self.message, rules)
        fast = number_row_codec(self.message, self.rows, rules)
        assert fast is not None
        self.fast: NumberRowCodec = fast

    def read_slowly(self, body: bytes) -> list[list[bytes]] | None:
        """The bits of the rows that the Codec reads; None if it refuses the body, or a field that may be missing is missing."""
        problems = RequestProblems()
        try:
            message = self.codec.read(read_document(body), problems)
        except RequestRefused:
            return None
        return None if problems.count else self.bits(message.SerializeToString())

    def bits(self, data: bytes) -> list[list[bytes]] | None:
        message: Any = GetMessageClass(self.message).FromString(data)
        rows = [message] if self.rows is None else message.rows
        if any(field.optional and not row.HasField(field.name) for row in rows for field in FIELDS):
            return None
        return [[struct.pack("<d", getattr(row, name)) for name in NAMES] for row in rows]


@pytest.fixture(scope="module", params=[False, True], ids=["row", "batch"])
def codecs(request: pytest.FixtureRequest, contract: Contract) -> Codecs:
    return Codecs(contract, batch=request.param)


ZEROS_AND_EDGES = "0 -0 -0.0 1 1.0 1E2 1e+2 5e-324 2.4703282292062328e-324 1e-400 0e9999 3.4028235e38 3.4028234663852886e38"
NO_NUMBERS = """1e999 -1e400 NaN Infinity -Infinity true null "1" "a:b" 01 1. .5 +1 0x1 [1] {} - 1e 1_0 1, \u0661 nan 1d"""

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-4e38, 4e38).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from([*ZEROS_AND_EDGES.split(), str(2**64 + 1), "1." + "1" * 400]),
)
odd = st.sampled_from([*NO_NUMBERS.split(), "1 2", "9" * 400, "9" * 5000])
blanks = st.sampled_from(["", "", "", " ", "\n", "\t\r ", "\x0c", "\xa0", "\ufeff"])


@st.composite
def objects(draw: Any, names: list[str], values: Any, *, sound: bool) -> str:
    """A JSON object with these names. Unless `sound`, names may be missing, repeated, unknown or spelt with escapes."""
    names = draw(st.permutations(names))
    if not sound and draw(st.booleans()):
        names = draw(st.lists(st.sampled_from([*names, "x", "", "a:b", "F1"]), max_size=len(names) + 1))
    gap = (lambda: "") if sound else lambda: draw(blanks)
    parts = []
    for name in names:
        text = json.dumps(name)
        if not sound and draw(st.integers(0, 5)) == 0:
            text = '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'
        parts.append(f"{gap()}{text}{gap()}:{gap()}{draw(values)}{gap()}")
    return f"{gap()}{{{','.join(parts)}}}{gap()}"


@st.composite
def bodies(draw: Any, *, batch: bool, sound: bool) -> str:
    values = numbers if sound else st.one_of(numbers, numbers, numbers, odd)
    row = objects(NAMES, values, sound=sound)
    if not batch:
        return draw(row)  # type: ignore[no-any-return]
    rows = draw(st.lists(row, min_size=int(sound), max_size=MAX_ROWS + (not sound)))
    return draw(objects(["rows"], st.just(f"[{','.join(rows)}]"), sound=sound))  # type: ignore[no-any-return]


@pytest.mark.slow
@settings(max_examples=tries(80, 5000))
@given(st.data())
def test_fast_read_equals_slow_read(codecs: Codecs, data: st.DataObject) -> None:
    body = data.draw(bodies(batch=codecs.rows is not None, sound=False)).encode()
    if data.draw(st.integers(0, 3)) == 0:
        place = data.draw(st.integers(0, len(body)))
        body = body[:place] + data.draw(st.binary(max_size=2)) + body[place + data.draw(st.integers(0, 2)) :]
    fast = codecs.fast.read(body)
    assert fast is None or codecs.bits(fast) == codecs.read_slowly(body)


@given(st.data())
def test_valid_bodies_are_read_fast(codecs: Codecs, data: st.DataObject) -> None:
    body = data.draw(bodies(batch=codecs.rows is not None, sound=True)).encode()
    expected = codecs.read_slowly(body)
    fast = codecs.fast.read(body)
    assert (None if fast is None else codecs.bits(fast)) == expected


answers = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e-7, 5e-324, 1e16, 123456789.125]))


@given(st.data())
def test_fast_write_equals_slow_write(codecs: Codecs, data: st.DataObject) -> None:
    row = st.fixed_dictionaries(dict.fromkeys(NAMES, answers))
    written = data.draw(row if codecs.rows is None else st.lists(row, max_size=4).map(lambda rows: {"rows": rows}))
    message = GetMessageClass(codecs.message)(**written)
    fast = codecs.fast.write(message.SerializeToString())
    if fast is None:  # The bytes leave out a zero, or the value has no JSON.
        assert any(
            value == 0 or not math.isfinite(value) or abs(value) > 1e300 for value in values_in(document_of(message, Form.RESPONSE))
        )
    else:
        assert list(json.loads(fast)) == list(document_of(message, Form.RESPONSE))
        assert repr(json.loads(fast)) == repr(json.loads(codecs.codec.write(message)))


def values_in(document: dict[str, Any]) -> list[float]:
    return [value for row in document.get("rows", [document]) for value in row.values()]


def test_wrong_row_counts_are_left_to_the_codec(contract: Contract) -> None:
    codecs = Codecs(contract, batch=True)
    row = json.dumps(dict.fromkeys(NAMES, 1))
    read = [
        count for count in range(MAX_ROWS + 2) if codecs.fast.read(f'{{"rows": [{", ".join([row] * count)}]}}'.encode()) is not None
    ]
    assert read == list(range(1, MAX_ROWS + 1))


def test_other_field_order_has_no_fast_codec(contract: Contract) -> None:
    pool = pool_of(contract.descriptor_set)
    row, batch = row_and_batch([NumberField(2), NumberField(1)], pool=pool)
    rules = Rules(CustomOptions(pool))
    assert number_row_codec(row, None, rules) is None
    assert number_row_codec(batch, batch.fields[0], rules) is None


LABELS = """
    service TestService { rpc PredictBatch(Many) returns (Answers); }
    message Features { double x = 1; }
    message Many { repeated Features rows = 1; }
    enum Form { FORM_UNSPECIFIED = 0; FORM_WIDE = 7; FORM_LONG = 2; }
    message Answer {
      Form form = 1;
      bool sure = 2;
      double share = 3;
      optional int64 rank = 4;
      optional uint32 count = 5;
    }
    message Answers { repeated Answer rows = 1; }
"""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Method, Contract]:
    contract = load(write_contract(tmp_path_factory.mktemp("labels"), LABELS), strict=False)
    return contract.services[0].methods[0], contract


label_rows = st.fixed_dictionaries(
    {
        "form": st.sampled_from([0, 2, 7, 9]),
        "sure": st.booleans(),
        "share": st.floats(-1, 1),
        "rank": st.sampled_from([-1, 0, 127, 128]),
        "count": st.sampled_from([0, 127, 128]),
    }
)


@given(rows=st.lists(label_rows, min_size=1, max_size=3))
def test_labels_are_written_as_the_codec_writes_them(labels: tuple[Method, Contract], rows: list[Any]) -> None:
    method, contract = labels
    batch = method.response(rows=rows)
    present = [row["form"] and row["sure"] and row["share"] and -1 < row["rank"] < 128 and row["count"] < 128 for row in rows]
    for message, repeated, fast in ((batch, method.answers, all(present)), (batch.rows[0], None, present[0])):
        codec = number_row_codec(message.DESCRIPTOR, repeated, contract.rules)
        assert codec is not None
        written = codec.write(message.SerializeToString())
        assert (written is not None) == bool(fast)  # The bytes leave out a zero, or an integer takes several bytes.
        assert written is None or repr(json.loads(written)) == repr(
            json.loads(Codec(message.DESCRIPTOR, contract.rules).write(message))
        )
        assert codec.read(b"{}") is None
