"""Contracts of many columns: numbers that protobuf allows, work in proportion to the columns, and a limit in words."""

from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from google.protobuf.message import Message
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge

from foretell.init.draft_features import field_numbers
from foretell_contract.contract import load
from foretell_contract.errors import ContractError
from foretell_contract.examples.example import example, failing_examples
from foretell_contract.examples.variants import variants
from foretell_contract.rules.rules import Rules, Violation
from tests.support.models.estimator_case import HEAD
from tests.support.servers.drafted_models import answers_by_both_doors, init, serving_drafts

WIDTH = 300


class CountingRules(Rules):
    """Counts the messages that are validated."""

    validated = 0

    def violations(self, message: Message) -> list[Violation]:
        self.validated += 1
        return super().violations(message)


def contract_of(root: Path, fields: str) -> Any:
    (root / "wide").mkdir()
    message = f"message Features {{ {fields} }} message Response {{ double value = 1; }}"
    (root / "wide" / "wide.proto").write_text(HEAD.replace("{package}", "wide") + message)
    return load(root, strict=False)


@pytest.mark.parametrize(("first", "last"), [(1, 18_999), (18_990, 20_989), (19_000, 20_999)])
def test_reserved_field_numbers_are_left_out(first: int, last: int) -> None:
    """infinispan/protostream#74: 19000 to 19999 are protobuf's own."""
    count = len([number for number in range(first, last + 1) if not 19_000 <= number <= 19_999])
    numbers = list(islice(field_numbers(first), count))
    assert numbers[-1] == last
    assert not set(numbers) & set(range(19_000, 20_000))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("optional double f{0} = {0} [(buf.validate.field) = {{required: true, double: {{gte: 0, example: {1}}}}}];", "-1"),
        ("optional int64 f{0} = {0} [(buf.validate.field).int64 = {{gte: 0, example: 2, example: {1}}}];", "-1"),
        ("optional string f{0} = {0} [(buf.validate.field).string = {{in: ['5', 'a'], example: '{1}'}}];", "b"),
        ("repeated double f{0} = {0} [(buf.validate.field).repeated = {{items: {{double: {{gte: 0, example: {1}}}}}}}];", "-1"),
    ],
)
def test_examples_of_all_fields_are_validated_together(tmp_path: Path, field: str, wrong: str) -> None:
    contract = contract_of(tmp_path, "".join(field.format(number, wrong if number == 7 else 5) for number in range(1, WIDTH + 1)))
    rules, features = CountingRules(contract.options), contract.services[0].methods[0].features
    ((name, reason),) = failing_examples(features, rules)
    assert name == "wide.v1.Features.f7"
    assert reason.startswith("the example 'b'" if wrong == "b" else "the example -1")
    assert rules.validated <= 2


def test_members_of_a_oneof_are_validated_apart(tmp_path: Path) -> None:
    member = "double f{0} = {0} [(buf.validate.field).double = {{gte: 0, example: {1}}}];"
    contract = contract_of(tmp_path, f"oneof either {{ {member.format(1, -1)} {member.format(2, -2)} }}")
    features = contract.services[0].methods[0].features
    assert [name for name, _ in failing_examples(features, contract.rules)] == ["wide.v1.Features.f1", "wide.v1.Features.f2"]


def test_variants_that_a_rule_forbids_are_not_tried(tmp_path: Path) -> None:
    field = "optional string f{0} = {0} [(buf.validate.field) = {{required: true, string: {{in: ['a'], example: 'a'}}}}];"
    contract = contract_of(tmp_path, "".join(map(field.format, range(1, WIDTH + 1))))
    rules = CountingRules(contract.options)
    row = example(contract.services[0].methods[0].features, rules)
    assert row is not None
    before = rules.validated
    assert list(variants(row, rules)) == []
    assert rules.validated == before


def test_message_beyond_the_limit_of_protobuf_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"a message of wide/wide.proto takes more than 64 KiB, protobuf's limit") as refusal:
        contract_of(tmp_path, "".join(f"optional double f{number} = {number};" for number in range(1, 9_000)))
    assert "\n" not in str(refusal.value)


class Needs(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed.
    """Fails without a value of some columns; counts its runs."""

    runs = 0

    def __init__(self, columns: tuple[int, ...] = ()) -> None:
        self.columns = columns

    def fit(self, rows: Any, _values: Any) -> Self:
        self.n_features_in_ = np.shape(rows)[1]
        return self

    def predict(self, rows: Any) -> Any:
        Needs.runs += 1
        if np.isnan(np.asarray(rows)[:, list(self.columns)]).any():
            raise ValueError("a value is missing")
        return np.full(len(rows), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("needed", [(), (0,), (7, 16, 299), tuple(range(0, 300, 60))])
def test_columns_with_gaps_are_tried_together(tmp_path: Path, needed: tuple[int, ...]) -> None:
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(size=(60, WIDTH)).round(3), columns=[f"f{index}" for index in range(WIDTH)]
    )
    gaps = np.random.default_rng(1).random(frame.shape) < 0.02
    gaps[np.arange(WIDTH) % len(frame), np.arange(WIDTH)] = True  # A column without a gap is required.
    frame = frame.mask(gaps)
    frame.to_csv(tmp_path / "data.csv", index=False)
    Needs.runs = 0
    done = init(tmp_path, "wide", Needs(needed).fit(frame, frame.f1), "--data", tmp_path / "data.csv")
    assert done.exit_code == 0, done.output
    assert Needs.runs < 150 + 16 * len(needed)
    contract = load(tmp_path / "protos")
    required = [field.name for field in contract.services[0].methods[0].features.fields if contract.rules.of(field).required]
    assert required == [f"f{index}" for index in needed]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_600_columns_are_served(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 600)).round(3), columns=[f"f{index}" for index in range(600)])
    model = Ridge().fit(frame, frame.f0)
    frame.to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, "wide", model, "--data", tmp_path / "data.csv")
    assert done.exit_code == 0, done.output
    with serving_drafts(tmp_path) as server:
        answers = answers_by_both_doors(server, "wide", frame.head(3).to_dict("records"))
    assert [answer["value"] for answer in answers] == pytest.approx(model.predict(frame.head(3)).tolist())
