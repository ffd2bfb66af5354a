"""Enum values match the labels of a model by name."""

import pytest

from foretell_contract.contract import load
from foretell_contract.labels import default_labels, did_you_mean_value, match_labels, short_name
from tests.support.contract_files import RESPONSE, SERVICE, write_contract

ENUM = """
enum IrisKind {
  IRIS_KIND_UNSPECIFIED = 0; IRIS_KIND_SETOSA = 1; IRIS_KIND_SEPAL_LENGTH_CM = 2; IRIS_KIND_1 = 3;
  IRIS_KIND_MINUS = 4 [(foretell.v1.label) = "-1"]; OTHER = 5;
}
message Features { IrisKind kind = 1; }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> object:
    return load(write_contract(tmp_path_factory.mktemp("labels"), SERVICE, RESPONSE, ENUM))


def enum_of(contract: object):  # type: ignore[no-untyped-def]
    return contract.services[0].methods[0].features.fields[0].enum_type, contract.options  # type: ignore[attr-defined]


def test_labels_match_by_name_or_option(made: object) -> None:
    enum, options = enum_of(made)
    found = match_labels(enum, ["sepal length (cm)", "Setosa", "1", "-1", "new"], options)
    assert found.by_number == {1: "Setosa", 2: "sepal length (cm)", 3: "1", 4: "-1"}
    assert found.numbers["-1"] == 4
    assert found.without_value == ("new",)
    assert [value.name for value in found.without_label] == ["OTHER"]


def test_ambiguous_name_matches_no_label(made: object) -> None:
    enum, options = enum_of(made)
    assert match_labels(enum, ["se tosa", "setosa", "SETOSA"], options).by_number == {}


def test_default_label_is_lower_case_name(made: object) -> None:
    enum, options = enum_of(made)
    assert default_labels(enum, options) == {1: "setosa", 2: "sepal_length_cm", 3: "1", 4: "-1", 5: "other"}


def test_close_value_is_suggested(made: object) -> None:
    enum, _ = enum_of(made)
    assert short_name(enum.values[1]) == "SETOSA"
    assert did_you_mean_value("IRIS_KIND_SETOZA", enum.values) == '; did you mean "IRIS_KIND_SETOSA"?'
    assert did_you_mean_value("setosa", enum.values) == '; did you mean "IRIS_KIND_SETOSA"?'
    assert did_you_mean_value("entirely else", enum.values) == ""
