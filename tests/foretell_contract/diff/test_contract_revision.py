"""The contract revision of a model, and what another revision breaks for its callers."""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.contract import load
from foretell_contract.diff.contract_revision import breaking_changes, contract_revision
from foretell_contract.errors import ContractError
from tests.conftest import PROTOS

IRIS = (PROTOS / "iris/v1/iris.proto").read_text()
TIGHTER = IRIS.replace("double.lte = 1", "double.lte = 0.9", 1)


def write(root: Path, **packages: str) -> Path:
    for version, text in packages.items():
        file = root / f"iris/{version}/iris.proto"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return root


@pytest.fixture(scope="module")
def made_for() -> bytes:
    return contract_revision(load(PROTOS), "iris")


def test_revision_holds_own_files_only(made_for: bytes) -> None:
    assert {file.name.partition("/")[0] for file in FileDescriptorSet.FromString(made_for).file} == {"iris", "parcel"}
    assert breaking_changes(made_for, load(PROTOS), "iris") == []
    assert contract_revision(load(PROTOS), "rose") == b""
    assert breaking_changes(b"", load(PROTOS), "iris") == []


def test_comment_and_wider_rule_break_nothing(made_for: bytes, tmp_path: Path) -> None:
    wider = load(write(tmp_path, v1=IRIS.replace("// ", "// Now: ").replace("double.lte = 1", "double.lte = 1.1", 1)))
    assert contract_revision(wider, "iris") != made_for
    assert breaking_changes(made_for, wider, "iris") == []


def test_tighter_rule_is_a_breaking_change(made_for: bytes, tmp_path: Path) -> None:
    (finding, *_) = breaking_changes(made_for, load(write(tmp_path, v1=TIGHTER)), "iris")
    assert finding.subject.startswith("Features.")
    assert breaking_changes(made_for, load(tmp_path), "rose") == []


def test_new_package_replaces_the_old_one(made_for: bytes, tmp_path: Path) -> None:
    second = TIGHTER.replace("iris.v1", "iris.v2").replace('post: "/', 'post: "/v2/')
    assert breaking_changes(made_for, load(write(tmp_path / "both", v1=IRIS, v2=second)), "iris") == []
    assert breaking_changes(made_for, load(write(tmp_path / "next", v2=second)), "iris") == []


def test_invalid_revision_is_refused() -> None:
    with pytest.raises(ContractError):
        breaking_changes(b"no descriptors", load(PROTOS), "iris")
