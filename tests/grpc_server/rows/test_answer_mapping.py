"""How outputs of a model fill the fields of a response."""

from pathlib import Path
from typing import Any

import pytest

from foretell_contract.contract import load
from grpc_server.rows.answer_mapping import AnswerMapping, message_builder
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import OUTLIER_CLASSES, Target
from tests.support.contract_files import SERVICE, write_contract
from tests.support.models.answer_fields import ALL_OF_FORMS, ALL_OF_WEATHER, ENUM, FORMS, NUMBERS, WEATHER, answer


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("Form form = 1;", {"form": "FORM_WIDE"}),
        ("string label = 1; double probability = 2;", {"label": "wide", "probability": 0.75}),
        ("bool wide = 1; bool is_long = 2;", {"wide": True, "is_long": False}),
        ('bool yes = 1 [(foretell.v1.output).label_is = "wide"];', {"yes": True}),
        ("string what = 1 [(foretell.v1.output).quantity = QUANTITY_LABEL];", {"what": "wide"}),
        ("repeated double probabilities = 1;", {"probabilities": [0.25, 0.75]}),
        ("map<string, float> probabilities = 1;", {"probabilities": {"long": 0.25, "wide": 0.75}}),
        ("repeated Ranked ranking = 1;", {"ranking": [{"form": "FORM_WIDE", "share": 0.75}, {"form": "FORM_LONG", "share": 0.25}]}),
        ("double decision = 1; Form form = 2;", {"decision": -2.5, "form": "FORM_WIDE"}),
        ("double far = 1 [(foretell.v1.output).quantity = QUANTITY_DECISION];", {"far": -2.5}),
        (
            'float p = 1 [(foretell.v1.output).probability_of = "wide"]; double long_probability = 2;',
            {"p": 0.75, "long_probability": 0.25},
        ),
        ("double wide_probability = 1; Form form = 2;", {"wide_probability": 0.75, "form": "FORM_WIDE"}),
    ],
)
def test_classifier_fills_fields_of_every_type(tmp_path: Path, fields: str, expected: Any) -> None:
    assert answer(tmp_path, fields, FORMS, ALL_OF_FORMS, NUMBERS) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("bool rain = 1; string sky = 2;", {"rain": True, "sky": "red"}),
        ("double rain_probability = 1; double sky_red_probability = 2;", {"rain_probability": 0.75, "sky_red_probability": 0.5}),
        ("double sky_probability = 1;", {"sky_probability": 0.5}),
        (
            'repeated double odds = 1 [(foretell.v1.output) = {quantity: QUANTITY_PROBABILITY, target: "sky"}];',
            {"odds": [0.2, 0.3, 0.5]},
        ),
    ],
)
def test_fields_are_matched_to_targets_by_name(tmp_path: Path, fields: str, expected: Any) -> None:
    assert answer(tmp_path, fields, WEATHER, ALL_OF_WEATHER, [0.25, 0.75, 0.2, 0.3, 0.5, 1, 2]) == expected


def test_message_named_like_a_target_holds_its_outputs(tmp_path: Path) -> None:
    contract = load(
        write_contract(
            tmp_path,
            SERVICE,
            ENUM,
            "message Sky { string label = 1; double probability = 2; }",
            "message Response { Sky sky = 1; }",
        )
    )
    mapped = AnswerMapping(contract, contract.services[0].methods[0].answer, WEATHER, ALL_OF_WEATHER).fields
    build = message_builder(mapped, ALL_OF_WEATHER)
    assert build([0.25, 0.75, 0.2, 0.3, 0.5, 1, 2]) == {"sky": {"label": "red", "probability": 0.5}}


def test_outlier_labels_keep_scikit_learns_numbers(tmp_path: Path) -> None:
    targets = (Target("", OUTLIER_CLASSES),)
    assert answer(tmp_path, "sint32 label = 1; bool outlier = 2;", targets, (Output("label"),), [0]) == {
        "label": -1,
        "outlier": True,
    }
