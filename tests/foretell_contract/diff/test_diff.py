"""Edits of a contract, and every finding that each edit yields."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from foretell_contract.contract import Contract, load, load_set
from foretell_contract.diff.consequences import CONSEQUENCES
from foretell_contract.diff.diff import diff, read_set
from foretell_contract.diff.finding import Impact
from foretell_contract.errors import ContractError
from foretell_contract.source.compiler import ALWAYS, SHIPPED, compile_file
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract

HERE = Path(__file__).parent
BASE = (HERE / "changed.proto").read_text()
CHANGES: dict[str, Any] = tomllib.loads((HERE / "changes.toml").read_text())

X = "optional double x [(buf.validate.field).required = true]"
PREDEFINED = """
edition = "2023";
package test.v1;
import "buf/validate/validate.proto";
extend buf.validate.DoubleRules {
  bool rising = 1001 [(buf.validate.predefined).cel = {id: "rising" expression: "this > 0.0"}];
}
message Features { double x = 1; }
message Response { double yes_probability = 1; }
service TestService { rpc Predict(Features) returns (Response); }
"""


def compiled(folder: Path, text: str) -> Contract:
    """Compiles in this process, ten times as fast as in another one."""
    (folder / "test.proto").write_text(text)
    includes = [f"-I{path}" for path in (folder, SHIPPED, files("grpc_tools") / "_proto")]
    out = folder / "test.binpb"
    arguments = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}", str(folder / "test.proto"), *ALWAYS]
    assert protoc.main(["protoc", *includes, *arguments]) == 0
    return load_set(FileDescriptorSet.FromString(out.read_bytes()))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return compiled(tmp_path_factory.mktemp("base"), BASE)


@pytest.mark.parametrize("row", CHANGES.values(), ids=CHANGES.keys())
def test_edit_yields_expected_findings(base: Contract, tmp_path: Path, row: dict[str, Any]) -> None:
    assert row["old"] in BASE
    assert [str(found) for found in diff(base, compiled(tmp_path, edited(row)))] == row["says"]


def edited(row: dict[str, Any]) -> str:
    return BASE.replace(row["old"], row["new"], -1 if row.get("everywhere") else 1)


def test_table_covers_every_consequence(base: Contract) -> None:
    """Each consequence is recognised by its reason on one side."""
    lines = "\n".join(line.lower() for row in CHANGES.values() for line in row["says"])
    missing = [
        rule for rule, sides in CONSEQUENCES.items() if not any(consequence.reason.lower() in lines for consequence in sides)
    ]
    assert missing == []
    assert len(CHANGES) >= 100


def test_contract_does_not_differ_from_itself(contract: Contract) -> None:
    assert diff(contract, contract) == ()


def test_only_tightening_breaks_callers(tmp_path: Path) -> None:
    bounded = "optional double x [(buf.validate.field).double.lte = {}]"
    one, two = (
        load(write_contract(tmp_path / side, SERVICE, features(bounded.format(most)), RESPONSE))
        for side, most in (("a", 1), ("b", 2))
    )
    assert not any(found.breaks for found in diff(one, two))
    (found,) = diff(two, one)
    assert found.breaks
    assert (found.package, found.name, found.rule) == ("test.v1", "test.v1.Features.x", "values.narrower")
    assert found.impact is Impact.BREAKING


def test_second_package_breaks_nobody(tmp_path: Path) -> None:
    root = write_contract(tmp_path, SERVICE, features(X), RESPONSE)
    one = load(root)
    write_contract(
        tmp_path, SERVICE, features(X, "optional double y [(buf.validate.field).required = true]"), RESPONSE, package="test.v2"
    )
    assert [(found.name, found.rule) for found in diff(one, load(root))] == [("test.v2", "package.added")]


def test_imported_types_are_compared(tmp_path: Path) -> None:
    def shared(folder: Path, most: int) -> Contract:
        types = "message Size { optional double x = 1 [(buf.validate.field).double.lte = " + str(most) + "]; }"
        write_contract(folder, types, package="shared.v1", name="size.proto")
        service = 'import "shared/v1/size.proto"; message Features { shared.v1.Size size = 1; }'
        return load(write_contract(folder, service, SERVICE, RESPONSE))

    (found,) = diff(shared(tmp_path / "a", 2), shared(tmp_path / "b", 1))
    assert str(found) == (
        "shared/v1/size.proto:7: breaking: Size.x: double.lte 2 -> 1. Values that were accepted are now refused. "
        "Instead: serve the new contract as shared.v2 beside shared.v1."
    )


def test_predefined_rules_are_compared_by_their_cel(tmp_path: Path) -> None:
    one = compiled(tmp_path, PREDEFINED)
    ruled = PREDEFINED.replace("double x = 1", "double x = 1 [(buf.validate.field).double.(rising) = true]")
    two = compiled(tmp_path, ruled)
    three = compiled(tmp_path, ruled.replace("this > 0.0", "this > 1.0"))
    assert [found.rule for found in diff(one, two)] == ["values.narrower"]
    assert [found.rule for found in diff(two, one)] == ["values.wider"]
    assert [found.rule for found in diff(two, three)] == ["values.unproven"]


def test_removing_a_message_oneof_rule_breaks(tmp_path: Path) -> None:
    """A oneof rule exempts zero values from the rules of its fields, so its end is not safe."""
    choice = 'option (buf.validate.message).oneof = {fields: ["x"]};'
    fields = f"message Features {{ double x = 1 [(buf.validate.field).double.gte = 1]; {choice} }}"
    one = load(write_contract(tmp_path / "a", SERVICE, fields, RESPONSE))
    two = load(write_contract(tmp_path / "b", SERVICE, fields.replace(choice, ""), RESPONSE))
    assert not one.rules.violations(one.message("test.v1.Features")())
    assert two.rules.violations(two.message("test.v1.Features")())
    assert [found.rule for found in diff(one, two) if found.breaks] == ["rule.changed"]


EVEN = 'cel: {id: "even" message: "must be even" expression: "this % 2 == 0"}'


@pytest.mark.parametrize(
    ("ignored", "rules", "breaks"),
    [
        pytest.param("IGNORE_IF_ZERO_VALUE", "int64: {gte: 1}", True, id="zero-is-refused-now"),
        pytest.param("IGNORE_IF_ZERO_VALUE", "int64: {gte: 0}", False, id="zero-is-valid"),
        pytest.param("IGNORE_IF_ZERO_VALUE", EVEN, True, id="cel-may-refuse-zero"),
        pytest.param("IGNORE_ALWAYS", "int64: {gte: 1}", True, id="rules-apply-now"),
        pytest.param("IGNORE_ALWAYS", EVEN, True, id="cel-applies-now"),
    ],
)
def test_removing_ignore_breaks_unless_zero_is_valid(tmp_path: Path, ignored: str, rules: str, breaks: bool) -> None:
    one, two = (
        load(write_contract(tmp_path / side, SERVICE, features(f"int64 x [(buf.validate.field) = {{{ignore}{rules}}}]"), RESPONSE))
        for side, ignore in (("a", f"ignore: {ignored} "), ("b", ""))
    )
    assert any(found.breaks for found in diff(one, two)) is breaks
    assert not any(found.breaks for found in diff(two, one))


def test_descriptor_set_gets_missing_shipped_files(tmp_path: Path) -> None:
    root = write_contract(tmp_path, SERVICE, features("optional double x"), RESPONSE)
    whole = FileDescriptorSet.FromString(load(root).descriptor_set)
    bare = FileDescriptorSet(file=[file for file in whole.file if file.name == "test/v1/test.proto"])
    del bare.file[0].dependency[:]
    assert not {file.name for file in bare.file} & set(ALWAYS)
    assert load_set(bare).services[0].full_name == "test.v1.TestService"


def test_set_without_source_info_has_no_lines(base: Contract) -> None:
    bare = FileDescriptorSet.FromString(base.descriptor_set)
    for file in bare.file:
        file.ClearField("source_code_info")
    assert diff(base, load_set(bare)) == ()
    (file,) = (file for file in bare.file if file.name == "test.proto")
    (features,) = (message for message in file.message_type if message.name == "Features")
    features.field[0].ClearField("options")
    assert [str(found.location) for found in diff(base, load_set(bare))] == ["test.proto"] * 3


@pytest.mark.parametrize(
    ("serialised", "says"),
    [
        pytest.param(b"no set", "the data is not a FileDescriptorSet: build one with `buf build -o contract.binpb`", id="bytes"),
        pytest.param(b"", "the descriptor set holds imports but no contract", id="empty"),
    ],
)
def test_data_without_a_contract_is_refused(serialised: bytes, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        load_set(read_set(serialised))


def test_descriptor_set_without_imports_is_refused(contract: Contract) -> None:
    whole = FileDescriptorSet.FromString(contract.descriptor_set)
    part = FileDescriptorSet(file=[file for file in whole.file if not file.name.startswith("google/protobuf/")])
    with pytest.raises(
        ContractError, match=r"buf/validate/validate.proto cannot be read from the descriptor set: .*google/protobuf"
    ):
        load_set(part)


def test_imports_are_found_from_parent_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the working folder holds a file of the same name."""
    write_contract(tmp_path, "message Size { double x = 1; }", package="shared.v1", name="size.proto")
    service = 'import "shared/v1/size.proto"; message Features { shared.v1.Size size = 1; }'
    write_contract(tmp_path, service, SERVICE, RESPONSE)
    monkeypatch.chdir(PROTOS / "iris/v1")
    loaded = load_set(compile_file(tmp_path / "test/v1/test.proto"))
    assert [service.full_name for service in loaded.services] == ["test.v1.TestService"]
    assert load_set(compile_file(Path("iris.proto"))).services[0].full_name == "iris.v1.IrisService"
    assert read_set(loaded.descriptor_set).file
