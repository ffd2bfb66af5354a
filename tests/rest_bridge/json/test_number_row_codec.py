"""The short way between JSON and bytes ends where the long way does, or is not taken."""

import json
import math
import struct
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell_contract.contract import Contract
from foretell_contract.custom_options import CustomOptions
from foretell_contract.rules.rules import Rules
from rest_bridge.json.codec import Codec
from rest_bridge.json.number_row_codec import NumberRowCodec, number_row_codec
from rest_bridge.json.request_problems import RequestProblems, RequestRefused
from rest_bridge.json.strict_json import read_document
from tests.support.effort import tries
from tests.support.messages import DOUBLE, FLOAT, Field, pool_of, row_and_batch

FIELDS = [Field(1), Field(2, DOUBLE, False, called="class"), Field(30, FLOAT, called="_"), Field(31, FLOAT, False, called="self")]
NAMES = [field.name for field in FIELDS]
MOST = 4


class Ways:
    """One message, read and written both ways."""

    def __init__(self, contract: Contract, *, batch: bool) -> None:
        pool = pool_of(contract.descriptor_set)
        rules = Rules(CustomOptions(pool))
        row, many = row_and_batch(FIELDS, 3, pool, {"min_items": 1, "max_items": MOST})
        self.message, self.rows = (many, many.fields[0]) if batch else (row, None)
        self.codec = Codec(self.message, rules)
        short = number_row_codec(self.message, self.rows, rules)
        assert short is not None
        self.short: NumberRowCodec = short

    def long_read(self, body: bytes) -> list[list[bytes]] | None:
        """The bits of the rows that the long way reads; None where it refuses, or misses a field that can be missed."""
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
def ways(request: pytest.FixtureRequest, contract: Contract) -> Ways:
    return Ways(contract, batch=request.param)


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
    """An object of these names; where it need not be sound, some may miss, come twice, be unknown or be spelt with escapes."""
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
    rows = draw(st.lists(row, min_size=int(sound), max_size=MOST + (not sound)))
    return draw(objects(["rows"], st.just(f"[{','.join(rows)}]"), sound=sound))  # type: ignore[no-any-return]


@settings(max_examples=tries(80, 5000))
@given(st.data())
def test_it_reads_what_the_long_way_reads_and_nothing_that_it_refuses(ways: Ways, data: st.DataObject) -> None:
    body = data.draw(bodies(batch=ways.rows is not None, sound=False)).encode()
    if data.draw(st.integers(0, 3)) == 0:
        place = data.draw(st.integers(0, len(body)))
        body = body[:place] + data.draw(st.binary(max_size=2)) + body[place + data.draw(st.integers(0, 2)) :]
    short = ways.short.read(body)
    assert short is None or ways.bits(short) == ways.long_read(body)


@given(st.data())
def test_it_is_taken_by_every_plain_body(ways: Ways, data: st.DataObject) -> None:
    body = data.draw(bodies(batch=ways.rows is not None, sound=True)).encode()
    expected = ways.long_read(body)
    short = ways.short.read(body)
    assert (None if short is None else ways.bits(short)) == expected


answers = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e-7, 5e-324, 1e16, 123456789.125]))


@given(st.data())
def test_it_writes_what_the_long_way_writes(ways: Ways, data: st.DataObject) -> None:
    row = st.fixed_dictionaries(dict.fromkeys(NAMES, answers))
    written = data.draw(row if ways.rows is None else st.lists(row, max_size=4).map(lambda rows: {"rows": rows}))
    message = GetMessageClass(ways.message)(**written)
    short = ways.short.write(message.SerializeToString())
    if short is None:  # A zero that is left out, or what JSON cannot say.
        assert any(
            value == 0 or not math.isfinite(value) or abs(value) > 1e300 for value in values_in(ways.codec.document(message))
        )
    else:
        assert list(json.loads(short)) == list(ways.codec.document(message))
        assert repr(json.loads(short)) == repr(json.loads(ways.codec.write(message)))


def values_in(document: dict[str, Any]) -> list[float]:
    return [value for row in document.get("rows", [document]) for value in row.values()]


def test_a_batch_of_too_few_or_too_many_rows_is_refused_on_the_long_way(contract: Contract) -> None:
    ways = Ways(contract, batch=True)
    row = json.dumps(dict.fromkeys(NAMES, 1))
    taken = [
        count for count in range(MOST + 2) if ways.short.read(f'{{"rows": [{", ".join([row] * count)}]}}'.encode()) is not None
    ]
    assert taken == list(range(1, MOST + 1))


def test_fields_that_are_declared_in_another_order_take_the_long_way(contract: Contract) -> None:
    pool = pool_of(contract.descriptor_set)
    row, batch = row_and_batch([Field(2), Field(1)], pool=pool)
    rules = Rules(CustomOptions(pool))
    assert number_row_codec(row, None, rules) is None
    assert number_row_codec(batch, batch.fields[0], rules) is None
