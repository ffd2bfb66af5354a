"""The generated stubs are current, documented, and importable without the server's packages."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from clients import generate
from foretell_client.stubs.iris.v1 import iris_pb2
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

STUBS = ROOT / "clients/python/foretell_client/stubs"


def python(program: str) -> None:
    """Run a program in an interpreter that can import the client but not the repository."""
    environment = {"PYTHONPATH": str(ROOT / "clients/python")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("oldest")
@pytest.mark.long
def test_stubs_are_current() -> None:
    done = subprocess.run([sys.executable, ROOT / "clients/generate.py", "--check"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("oldest")
def test_check_names_stale_files(tmp_path: Path) -> None:
    shutil.copytree(STUBS, tmp_path / generate.PACKAGE)
    (tmp_path / generate.PACKAGE / "iris/v1/iris_pb2.pyi").write_text("changed")
    (tmp_path / generate.PACKAGE / "iris/v1/old_pb2.py").write_text("left behind")
    with pytest.raises(SystemExit) as ended:
        generate.main(["--check"], tmp_path)
    assert str(ended.value).splitlines() == [
        "foretell_client/stubs/iris/v1/iris_pb2.pyi is not current",
        "foretell_client/stubs/iris/v1/old_pb2.py is not current",
        "run make generate",
    ]
    generate.main([], tmp_path)
    assert generate.differences(STUBS, tmp_path / generate.PACKAGE) == []


def test_plain_contracts_keep_only_comments() -> None:
    files = FileDescriptorSet.FromString(generate.plain_contracts()).file
    assert {file.package for file in files} == {"iris.v1", "iris.v2"}
    file = next(file for file in files if file.package == "iris.v1")
    assert list(file.dependency) == []
    assert file.message_type[0].field[0].options.ByteSize() == 0
    assert file.service[0].method[0].options.idempotency_level == 1
    assert any("exactly the columns" in location.leading_comments for location in file.source_code_info.location)


def test_names_are_those_of_the_contract() -> None:
    assert iris_pb2.Features.DESCRIPTOR.full_name == "iris.v1.Features"
    assert [method.full_name for method in iris_pb2.DESCRIPTOR.services_by_name["IrisService"].methods] == [
        "iris.v1.IrisService.Predict",
        "iris.v1.IrisService.PredictBatch",
        "iris.v1.IrisService.PredictStream",
    ]
    assert '"/iris.v1.IrisService/Predict"' in (STUBS / "iris/v1/iris_pb2_grpc.py").read_text().replace("'", '"')


def test_client_imports_no_server_packages() -> None:
    python(
        """
import sys
refused = ("buf", "google.api", "iris", "foretell_contract", "grpc_server", "rest_bridge", "grpc_status", "protovalidate")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in refused:
            raise AssertionError(f"{name} is imported")
sys.meta_path.insert(0, Refuse())
import foretell_client
assert not {"google.api", "iris", "buf"} & set(sys.modules)
"""
    )


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_stubs_coexist_with_another_copy(first: str) -> None:
    """Stubs that a caller generates from the served contract put its messages into protobuf's shared pool."""
    program = {
        "ours": "import foretell_client",
        "theirs": """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="iris/v1/iris.proto", package="iris.v1", syntax="proto3")
file.message_type.add(name="Features").field.add(name="sepal_length", number=1, type=1, label=1)
pool = descriptor_pool.Default()
pool.AddSerializedFile(file.SerializeToString())
theirs = message_factory.GetMessageClass(pool.FindMessageTypeByName("iris.v1.Features"))
""",
    }
    order = ["ours", "theirs"] if first == "ours" else ["theirs", "ours"]
    check = """
ours = foretell_client.Features(sepal_length=0.5, petal_width=1)
assert theirs.FromString(ours.SerializeToString()).sepal_length == 0.5
"""
    python("\n".join([*(program[name] for name in order), check]))


def test_comments_are_docstrings() -> None:
    """Every message and method has one, for editors."""
    undocumented = []
    for name, kinds in (("iris_pb2.pyi", ast.ClassDef), ("iris_pb2_grpc.pyi", ast.FunctionDef)):
        tree = ast.parse((STUBS / "iris/v1" / name).read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and not node.name.startswith(("_", "add_"))]
        assert nodes
        undocumented += [node.name for node in nodes if not ast.get_docstring(node)]
    assert undocumented == []
    assert "min-max scaled" in (STUBS / "iris/v1/iris_pb2.pyi").read_text()


def test_changed_generator_output_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "iris_pb2.py"
    module.write_text("DESCRIPTOR = somewhere_else()")
    with pytest.raises(ValueError, match="0 times instead of once"):
        generate.own_pool(module)


def test_generators_match_the_constraints(oldest: Path) -> None:
    listed = subprocess.run([oldest, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout.split()
    wanted = [line for line in generate.CONSTRAINTS.read_text().splitlines() if "==" in line]
    assert set(wanted) <= set(listed)
