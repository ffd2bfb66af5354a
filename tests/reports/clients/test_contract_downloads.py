"""The downloads of a contract compile as they are, hold what is served and no more, and need no custom option in the plain form."""

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from typer.testing import CliRunner

from clients.generate import without_custom_options
from foretell.cli import app
from foretell_contract.contract import LIST_MODELS_RESPONSE, Contract, load
from foretell_contract.downloads import downloads
from foretell_contract.source.vendored_imports import vendor_imports
from rest_bridge.app import create_app
from rest_bridge.http.guard import Guard
from rest_bridge.settings import BridgeSettings
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.iris import COLUMNS
from tests.support.servers.fake_channel import FakeChannel

DETAILS = ["google/rpc/error_details.proto", "google/rpc/status.proto"]
IMPORTS = {
    *("buf/validate/validate.proto", "foretell/v1/models.proto", "foretell/v1/options.proto"),
    *("google/api/annotations.proto", "google/api/http.proto", *DETAILS),
}


def bridge(contract: Contract, *models: str) -> httpx2.AsyncClient:
    """A client of a bridge whose server has these models."""
    listed: Any = contract.message(LIST_MODELS_RESPONSE)()
    for model in models:
        listed.models.add(name=model)
    app = Guard(create_app(contract, FakeChannel(lambda _: bytes(listed.SerializeToString())), BridgeSettings()))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


@pytest.fixture(scope="module")
def whole() -> Contract:
    """The contracts of this repository."""
    return load(PROTOS)


async def downloaded(contract: Contract, *models: str) -> dict[str, bytes]:
    """What a caller gets who follows `/contract`: the files by name, and the rest by key."""
    async with bridge(contract, *models) as http:
        listed = (await http.get("/contract")).raise_for_status().json()
        found = {path.removeprefix("/contract/"): (await http.get(path)).raise_for_status().content for path in listed.pop("files")}
        return found | {key: (await http.get(path)).raise_for_status().content for key, path in listed.items()}


def protos(found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: text for name, text in found.items() if name.endswith(".proto")}


def unpacked(found: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write the files; returns their names."""
    for name, text in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return list(found)


def compiled(folder: Path, names: list[str]) -> FileDescriptorSet:
    """The files, compiled with no other include folder than protoc's own."""
    out = folder / "out.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"-I{files('grpc_tools')}/_proto", "--include_imports"]
    done = subprocess.run([*command, f"--descriptor_set_out={out}", *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return FileDescriptorSet.FromString(out.read_bytes())


# Imports that are not there are what users of protovalidate report first (protovalidate-java#56, protovalidate#89).
@pytest.mark.parametrize(
    ("models", "contracts"),
    [
        (("iris",), {"iris/v1/iris.proto"}),
        (("parcel",), {"parcel/v1/parcel.proto"}),
        (("iris.v2", "parcel"), {"iris/v2/iris.proto", "parcel/v1/parcel.proto"}),
    ],
)
async def test_files_are_complete_and_of_what_is_served(
    whole: Contract, models: tuple[str, ...], contracts: set[str], tmp_path: Path
) -> None:
    found = await downloaded(whole, *models)
    assert set(protos(found)) == contracts | IMPORTS
    assert found["buf/validate/validate.proto"] == (PROTOS / "buf/validate/validate.proto").read_bytes()
    names = unpacked(protos(found), tmp_path)
    assert {file.name for file in compiled(tmp_path, names).file} >= set(names)
    served = FileDescriptorSet.FromString(found["descriptor_set"])
    assert {file.name for file in served.file if not file.name.startswith("google/protobuf/")} == contracts | IMPORTS


async def test_files_of_own_imports_are_handed_out(tmp_path: Path) -> None:
    """Imports of callers' own, in the folders of vendored files and beside the contract."""
    write_contract(tmp_path / "protos", "message Unused { double x = 1; }", package="unused.v1")
    write_contract(tmp_path / "protos", "message Place { double x = 1; }", package="shared.v1")
    write_contract(tmp_path / "protos", "message Point { double x = 1; }", package="google.type", name="point.proto")
    imports = 'import "shared/v1/test.proto"; import "google/type/point.proto";'
    row = features("shared.v1.Place place", "google.type.Point point")
    found = await downloaded(load(write_contract(tmp_path / "protos", imports, SERVICE, row, RESPONSE)), "test")
    assert set(protos(found)) - IMPORTS == {"shared/v1/test.proto", "google/type/point.proto", "test/v1/test.proto"}
    plain = FileDescriptorSet.FromString(found["plain_descriptor_set"])
    assert [file.name for file in plain.file if not file.name.startswith("google/")] == [
        "shared/v1/test.proto",
        "test/v1/test.proto",
    ]
    names = unpacked(archive(found["plain_archive"]), tmp_path / "plain")
    compiled(tmp_path / "plain", names)


async def test_every_contract_is_handed_out_before_a_model_is_known(whole: Contract) -> None:
    async with bridge(whole) as http:
        paths = (await http.get("/contract")).json()["files"]
    assert sum("iris" in path or "parcel" in path for path in paths) == 3


def archive(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


async def test_plain_form_needs_no_file_of_others(whole: Contract) -> None:
    found = await downloaded(whole, "iris", "parcel")
    plain = FileDescriptorSet.FromString(found["plain_descriptor_set"])
    known: set[str] = set()
    for file in plain.file:
        assert set(file.dependency) <= known, "each file comes after its imports"
        known.add(file.name)
    texts = archive(found["plain_archive"])
    assert set(texts) == {name for name in known if not name.startswith("google/protobuf/")}
    assert set(texts) == {"iris/v1/iris.proto", "parcel/v1/parcel.proto", *DETAILS}
    for name in ("iris/v1/iris.proto", "parcel/v1/parcel.proto"):
        assert not re.search(rb"buf\.validate|foretell|google[./]api", texts[name])
        assert b"// Length of the sepal" in texts[name] or b"// What the courier rides." in texts[name]
    assert b"Licensed under the Apache License" in texts[DETAILS[0]]


SHADOWS = """
import "google/protobuf/timestamp.proto";
message Outer {
  message Inner { double x = 1; }
  message v1 { double x = 1; }
  enum Kind { KIND_UNSPECIFIED = 0; KIND_A = 1; }
  message google { double x = 1; }
  Inner inner = 1;
  Kind kind = 2;
  .google.protobuf.Timestamp at = 3;
}
"""
OPTIONS = """
message Features {
  reserved 2, 5 to 7, 100 to max;
  reserved "old", "older";
  // A number.
  double x = 1 [deprecated = true, json_name = "ex"];
  oneof side { double left = 8; Kind right = 9; }
  map<string, Kind> kinds = 10 [(buf.validate.field).map.min_pairs = 0];
  repeated int32 unpacked = 11 [packed = false];
  optional string foo_2bar_Baz = 12;
  option deprecated = true;
}
enum Kind {
  option allow_alias = true;
  reserved -5 to -3, 9 to max;
  KIND_UNSPECIFIED = 0; KIND_A = -1 [deprecated = true]; KIND_B = -1 [(foretell.v1.label) = "b"];
}
"""
OWN_OPTIONS = """
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions { string team = 50001; }
message Features { optional double x = 1 [(team) = "a"]; }
"""
LISTS = """
import "google/protobuf/descriptor.proto";
import public "google/protobuf/timestamp.proto";
extend google.protobuf.OneofOptions { string team = 50001 [deprecated = true]; }
// Features; see [(buf.validate.field).required = true];
message Features {
  double x = 1 [ // First.
    (buf.validate.field).double = {gte: 0, lte: 1}, deprecated = true,
    // With a bracket.
    json_name = "a],b;//" /* last */
  ];
  oneof side { option (team) = "a;}"; double left = 2 [(buf.validate.field).double.gte = 0]; Kind right = 3; }
  message Part { option (buf.validate.message).cel = {id: "a", message: "b", expression: "true"}; string text = 1; }
  Part part = 4
    [(buf.validate.field).required = true];
  google.protobuf.Timestamp at = 5;
}
enum Kind {
\tKIND_UNSPECIFIED = 0 [(foretell.v1.label) = "é", deprecated = true]; KIND_A = 1 [(foretell.v1.label) = "]"];
}
"""
PROTO2 = """
message Features {
  required double x = 1; optional string text = 2 [default = "a\\"b\\n"]; optional bytes data = 3 [default = "\\001\\"z"];
  optional Kind kind = 4 [default = B]; optional float f = 5 [default = -inf]; repeated int32 n = 6 [packed = true];
  extensions 100 to 199;
  optional group Part = 7 { optional bool b = 1 [default = true]; }
}
enum Kind { A = 1; B = 2; }
message Response { optional double value = 1; }
"""
EDITION = """
option features.field_presence = IMPLICIT;
message Features {
  double x = 1 [features.field_presence = EXPLICIT];
  repeated int32 n = 2 [features.repeated_field_encoding = EXPANDED];
  reserved old, older;
}
enum Kind { option features.enum_type = CLOSED; KIND_UNSPECIFIED = 0; }
message Response { double value = 1; }
"""


def contract_file(folder: Path, syntax: str, body: str) -> Contract:
    text = write_contract(folder, SERVICE, body) / "test/v1/test.proto"
    text.write_text(text.read_text().replace('syntax = "proto3";', f"{syntax};"))
    return load(folder, strict=False)


PROTO3 = 'syntax = "proto3"'
GO_AND_JAVA = 'option go_package = "a.b/c"; option java_package = "x.y";'


@pytest.mark.parametrize(
    ("syntax", "body"),
    [
        pytest.param(PROTO3, 'import "shared/test.proto";' + features("shared.Outer x") + RESPONSE, id="shared"),
        pytest.param(PROTO3, SHADOWS + features("Outer x") + RESPONSE, id="names"),
        pytest.param(PROTO3, OPTIONS + RESPONSE, id="options"),
        pytest.param(PROTO3, OWN_OPTIONS + RESPONSE, id="own-options"),
        pytest.param(PROTO3, LISTS + RESPONSE, id="lists"),
        pytest.param('syntax = "proto2"', PROTO2, id="proto2"),
        pytest.param('edition = "2023"', EDITION, id="edition"),
        pytest.param(PROTO3, GO_AND_JAVA + features("double x") + RESPONSE, id="packages"),
    ],
)
def test_plain_text_compiles_to_the_plain_form(tmp_path: Path, syntax: str, body: str) -> None:
    """Go needs a package, with a slash or a dot (golang/protobuf#1294, golang/protobuf#1043)."""
    write_contract(tmp_path / "protos", "message Outer { double x = 1; }", package="shared")
    given = contract_file(tmp_path / "protos", syntax, body)
    found = downloads(given)
    texts = archive(found.plain_archive)
    again = {file.name: file for file in compiled(tmp_path, unpacked(texts, tmp_path)).file}
    originals = {file.name: file for file in without_custom_options(FileDescriptorSet.FromString(found.descriptor_set)).file}
    plain = {file.name: file for file in FileDescriptorSet.FromString(found.plain_set).file}
    for name in texts:
        assert bare(again[name]) == bare(plain[name]) == bare(originals[name]), texts[name].decode()
        assert set(plain[name].dependency) <= plain.keys()
        assert {imported.name for imported in plain.values() if f'"{imported.name}"' in texts[name].decode()} == {
            *plain[name].dependency
        }
    options = plain["test/v1/test.proto"].options
    expected = ("a.b/c", "x.y") if GO_AND_JAVA in body else ("contract/test/v1;testv1", "test.v1")
    assert (options.go_package, options.java_package, options.java_multiple_files) == (*expected, True)


def bare(file: FileDescriptorProto) -> str:
    """The descriptor without what the plain form changes: imports, extensions, packages of languages and places in the source."""
    left = FileDescriptorProto.FromString(file.SerializeToString())
    for part in (left, left.options, *messages_in(left.message_type)):
        for name in CHANGED & set(part.DESCRIPTOR.fields_by_name):
            part.ClearField(name)
    return re.sub(r"\n *options \{\n *\}", "", f"\n{left}")


CHANGED = {"dependency", "public_dependency", "extension", "extension_range", "source_code_info"}
CHANGED |= {"go_package", "java_package", "java_outer_classname", "java_multiple_files"}


def messages_in(messages: Iterable[DescriptorProto]) -> Iterator[DescriptorProto]:
    for message in messages:
        yield message
        yield from messages_in(message.nested_type)


@pytest.mark.parametrize("first", ["foretell.v1.options_pb2", "iris.v1.iris_pb2", "foretell.cli", "foretell.runtimes"])
def test_generated_options_work_beside_the_package(whole: Contract, tmp_path: Path, first: str) -> None:
    """A generated package of the name of an installed one hides it, or is hidden (protobuf#1296, weaviate-python-client#591)."""
    served = downloads(whole.restricted_to(["iris"]))
    (tmp_path / "contract.binpb").write_bytes(served.descriptor_set)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={tmp_path / 'contract.binpb'}"]
    names = [name for name in served.files if not name.startswith("google/")]  # Those are in googleapis-common-protos.
    subprocess.run([*command, f"--python_out={tmp_path}", *names], check=True)
    program = (
        f"import {first}; import foretell.runtimes, foretell.v1.options_pb2, foretell.v1.models_pb2, iris.v1.iris_pb2 as iris; "
    )
    program += "print(iris.DESCRIPTOR.GetOptions().Extensions[foretell.v1.options_pb2.api].title)"
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert (done.stdout, done.stderr) == ("IRIS Classification\n", "")


@pytest.mark.slow
def test_new_folder_of_init_passes_buf_and_protoc(trained: Path, tmp_path: Path) -> None:
    """Its contract imports files that nobody else brings (protovalidate#106, protovalidate-go#43)."""
    arguments = ["init", str(trained / "model.joblib"), "--name", "iris", "--protos", str(tmp_path / "protos")]
    done = CliRunner().invoke(app, [*arguments, "--models", str(tmp_path / "models"), "--columns", ",".join(COLUMNS)])
    assert done.exit_code == 0, done.output
    assert f"wrote what it imports to {tmp_path / 'protos'}, for buf and protoc\n" in done.output
    buf = Path(sys.executable).with_name("buf")
    for command in (["build"], ["lint"], ["format", "--diff", "--exit-code", "--path", "iris"]):
        ran = subprocess.run([buf, *command], cwd=tmp_path / "protos", capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), command
    compiled(tmp_path / "protos", ["iris/v1/iris.proto"])


@pytest.mark.parametrize("kept", ["buf/own.proto", "google/own.proto", "../buf.yaml"])
def test_imports_beside_files_of_the_same_folders_stay(tmp_path: Path, kept: str) -> None:
    root = tmp_path / "protos"
    root.mkdir()
    (root / kept).parent.mkdir(exist_ok=True)
    (root / kept).write_text("kept")
    vendor_imports(root)
    assert (root / kept).read_text() == "kept"
    assert (root / "buf.yaml").exists() is not kept.endswith("buf.yaml")
    assert (root / "buf/validate/validate.proto").exists() is not kept.startswith("buf/")
    assert (root / "foretell/v1/options.proto").exists()
