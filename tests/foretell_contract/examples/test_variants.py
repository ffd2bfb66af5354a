"""Variants of an example: valid rows that a model may not expect."""

from pathlib import Path

from foretell_contract.contract import load
from foretell_contract.examples.example import example
from foretell_contract.examples.variants import variants
from tests.support.contract_files import RESPONSE, SERVICE, WELL_KNOWN, write_contract

FEATURES = """
message In { optional double x = 1 [(buf.validate.field).double.example = 1]; }
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; }
message Features {
  optional double must = 1 [(buf.validate.field) = {required: true, double: {example: 1}}];
  optional double may = 2 [(buf.validate.field).double.example = 1];
  string text = 3 [(buf.validate.field).string = {max_len: 20, example: "a"}];
  string listed = 4 [(buf.validate.field).string = {in: ["a"], example: "a"}];
  Color color = 5 [(buf.validate.field).enum.example = 1];
  Color never = 6 [(buf.validate.field).enum = {not_in: 0, example: 1}];
  In inside = 7 [(buf.validate.field).required = true];
  oneof side {
    option (buf.validate.oneof).required = true;
    double left = 8 [(buf.validate.field).double.example = 1];
    double right = 9 [(buf.validate.field).double.example = 2];
  }
  map<string, double> shares = 10 [
    (buf.validate.field).map = {min_pairs: 1, keys: {string: {in: ["n", "s"]}}, values: {double: {example: 1}}}
  ];
}
"""


def test_variants_are_valid_and_differ_once(tmp_path: Path) -> None:
    contract = load(write_contract(tmp_path, WELL_KNOWN, SERVICE, RESPONSE, FEATURES))
    row = example(contract.services[0].methods[0].features, contract.rules)
    assert row is not None
    found = list(variants(row, contract.rules))
    assert all(contract.rules.violations(variant.row) == [] for variant in found)
    assert {(variant.path, variant.statement) for variant in found} == {
        ("may", "may be missing"),
        ("text", "may be any text"),
        ("color", "may be COLOR_UNSPECIFIED"),
        ("inside.x", "may be missing"),
        ("right", "may be given alone"),
        ("shares[n]", "may be missing"),
        ("shares[s]", "may be missing"),
    }
    (right,) = [variant.row for variant in found if variant.path == "right"]
    assert right.WhichOneof("side") == "right"
