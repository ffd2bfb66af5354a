"""Fields of a response that no output of the model fills, each with its reason and fix."""

from pathlib import Path

import pytest

from foretell_contract.contract import load
from foretell_contract.lint.contract_check import locate
from grpc_server.errors import ModelMismatch
from grpc_server.rows.answer_mapping import AnswerMapping
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target
from tests.support.contract_files import SERVICE, WELL_KNOWN, write_contract
from tests.support.models.answer_fields import ALL_OF_FORMS, ALL_OF_WEATHER, BOTH, ENUM, FORMS, SIZES, WEATHER, answer

NUMBER = (Target("", ()),)


@pytest.mark.parametrize(
    ("fields", "targets", "outputs", "errors"),
    [
        (
            "double mean = 1;",
            SIZES,
            BOTH,
            ["no output of the model matches test.v1.Response.mean. Fix: rename it to value, or set (foretell.v1.output)."],
        ),
        (
            "double hieght = 1;",
            SIZES,
            BOTH,
            [
                'no output of the model matches test.v1.Response.hieght; did you mean "height"? '
                "Fix: rename it to value, or set (foretell.v1.output)."
            ],
        ),
        (
            "string probabilities = 1;",
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.probabilities is a single value, but a model has several probabilities. "
                "Fix: declare it as repeated or as a map."
            ],
        ),
        (
            "double std = 1;",
            NUMBER,
            (Output("value"),),
            [
                "test.v1.Response.std needs the output std, but the model has only value. "
                "Fix: remove it, or set (foretell.v1.output) to one of these."
            ],
        ),
        (
            'double x = 1 [(foretell.v1.output) = {quantity: QUANTITY_VALUE, target: "hight"}];',
            SIZES,
            BOTH,
            [
                "test.v1.Response.x names the target 'hight', which the model does not have; did you mean \"height\"? "
                "Fix: name one of height, weight."
            ],
        ),
        (
            'double x = 1 [(foretell.v1.output) = {quantity: QUANTITY_VALUE, target: "hight"}];',
            NUMBER,
            (Output("value"),),
            [
                "test.v1.Response.x names the target 'hight', which the model does not have. "
                "Fix: remove the target: the model has only one."
            ],
        ),
        (
            "double x = 1 [(foretell.v1.output) = {quantity: QUANTITY_DISTANCE, item: 2}];",
            NUMBER,
            (Output("distance", 0), Output("distance", 1)),
            [
                "test.v1.Response.x needs the output distance 2, but the model has only distance 0 to 1. "
                "Fix: remove it, or set (foretell.v1.output) to one of these."
            ],
        ),
        (
            "int32 value = 1;",
            NUMBER,
            (Output("value"),),
            ["test.v1.Response.value is to hold a value, but is not a double or a float. Fix: declare it as double."],
        ),
        (
            "int32 label = 1;",
            FORMS,
            ALL_OF_FORMS,
            ["test.v1.Response.label cannot hold a label such as 'long'. Fix: make it an enum or a string."],
        ),
        (
            "Form form = 1;",
            (Target("", ("long", "wid")),),
            (Output("label"),),
            [
                "the model's class 'wid' has no value in Form; did you mean \"FORM_WIDE\"? "
                'Fix: add a value with that name, or set (foretell.v1.label) = "wid" on one.'
            ],
        ),
        (
            "bool label = 1;",
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.label is a bool, but no class of the model clearly means true. "
                "Fix: set (foretell.v1.output).label_is to that class."
            ],
        ),
        (
            'bool x = 1 [(foretell.v1.output).label_is = "wid"];',
            FORMS,
            ALL_OF_FORMS,
            [
                'test.v1.Response.x matches no class of the model; did you mean "wide"? '
                'Fix: name it after that class, or set (foretell.v1.output).label_is = "wide".'
            ],
        ),
        (
            "double wide_probability = 1; double lnog_probability = 2;",
            FORMS,
            ALL_OF_FORMS,
            [
                'test.v1.Response.lnog_probability matches no class of the model; did you mean "long"? '
                'Fix: name it after that class, or set (foretell.v1.output).probability_of = "long".'
            ],
        ),
        (
            "double x_probability = 1; double long_probability = 2; double wide_probability = 3;",
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.x_probability matches no class of the model. "
                "Fix: name it after one of long, wide, or set (foretell.v1.output)."
            ],
        ),
        (
            'double p = 1 [(foretell.v1.output).probability_of = "x"];',
            NUMBER,
            (Output("value"),),
            ["test.v1.Response.p matches no class of the model. Fix: remove it."],
        ),
        (
            "double wide_probability = 1;",
            FORMS,
            ALL_OF_FORMS,
            [
                "the model's class 'long' has no <class>_probability field in test.v1.Response. "
                'Fix: add one, or set (foretell.v1.output).probability_of = "long" on one.'
            ],
        ),
        (
            "repeated Features ranking = 1;",
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.ranking repeats Features, which is not just a label and its probability. "
                "Fix: leave only those two fields in that message."
            ],
        ),
        (
            "map<int32, double> probabilities = 1;",
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.probabilities is not a map of strings to doubles or floats. "
                "Fix: declare it as map<string, double>."
            ],
        ),
        (
            "repeated string labels = 1;",
            WEATHER,
            ALL_OF_WEATHER,
            [
                "test.v1.Response.labels is repeated, but a label is a single value. "
                "Fix: give the label of each target a field of its own."
            ],
        ),
        (
            'double a = 1 [(foretell.v1.output).probability_of = "wide"]; double wide_probability = 2;',
            FORMS,
            ALL_OF_FORMS,
            [
                "test.v1.Response.wide_probability and a both hold the probability of 'wide'. Fix: remove one of them.",
                "the model's class 'long' has no <class>_probability field in test.v1.Response. "
                'Fix: add one, or set (foretell.v1.output).probability_of = "long" on one.',
            ],
        ),
    ],
)
def test_refusal_names_field_reason_and_fix(
    tmp_path: Path, fields: str, targets: tuple[Target, ...], outputs: tuple[Output, ...], errors: list[str]
) -> None:
    with pytest.raises(ModelMismatch) as refused:
        answer(tmp_path, fields, targets, outputs, [])
    line = 12 if "in Form;" in errors[0] else 15
    found = locate(load(tmp_path), refused.value.problems)
    assert [str(each) for each in found] == [f"test/v1/test.proto:{line}: error: {text}" for text in errors]


def test_timestamp_in_a_response_is_refused(tmp_path: Path) -> None:
    fields = "message Response { google.protobuf.Timestamp at = 1; }"
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, ENUM, fields))
    with pytest.raises(ModelMismatch) as refused:
        AnswerMapping(contract, contract.services[0].methods[0].answer, SIZES[:1], BOTH[:1])
    ((name, reason, fix),) = [(each.name, each.reason, each.fix) for each in refused.value.problems]
    assert (name, reason) == ("test.v1.Response.at", "no output of the model fills test.v1.Response.at")
    assert fix == "remove it: a response holds numbers and labels"
