"""The generated stubs: current, documented, and no burden on those who import them."""

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
    """Run a program in an interpreter that has the client and nothing of the repository."""
    environment = {"PYTHONPATH": str(ROOT / "clients/python")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("oldest")
def test_the_stubs_are_what_the_contracts_give() -> None:
    done = subprocess.run([sys.executable, ROOT / "clients/generate.py", "--check"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("oldest")
def test_a_difference_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STUBS, tmp_path / generate.PACKAGE)
    (tmp_path / generate.PACKAGE / "iris/v1/iris_pb2.pyi").write_text("changed")
    (tmp_path / generate.PACKAGE / "iris/v1/old_pb2.py").write_text("left behind")
    monkeypatch.setattr(generate, "IMPORT_ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        generate.main()
    assert str(ended.value).splitlines() == [
        "foretell_client/stubs/iris/v1/iris_pb2.pyi is not what the contracts give",
        "foretell_client/stubs/iris/v1/old_pb2.py is not what the contracts give",
        "run make generate",
    ]
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    generate.main()
    assert generate.differences(STUBS, tmp_path / generate.PACKAGE) == []


def test_the_contract_s_imports_stay_behind_and_its_comments_do_not() -> None:
    files = FileDescriptorSet.FromString(generate.plain_contracts()).file
    assert {file.package for file in files} == {"iris.v1", "iris.v2"}
    file = next(file for file in files if file.package == "iris.v1")
    assert list(file.dependency) == []
    assert file.message_type[0].field[0].options.ByteSize() == 0
    assert file.service[0].method[0].options.idempotency_level == 1
    assert any("exactly the columns" in location.leading_comments for location in file.source_code_info.location)


def test_messages_and_methods_keep_the_contract_s_names() -> None:
    assert iris_pb2.Features.DESCRIPTOR.full_name == "iris.v1.Features"
    assert [method.full_name for method in iris_pb2.DESCRIPTOR.services_by_name["IrisService"].methods] == [
        "iris.v1.IrisService.Predict",
        "iris.v1.IrisService.PredictBatch",
        "iris.v1.IrisService.PredictStream",
    ]
    assert '"/iris.v1.IrisService/Predict"' in (STUBS / "iris/v1/iris_pb2_grpc.py").read_text().replace("'", '"')


def test_the_client_needs_neither_buf_nor_google_api_nor_the_server() -> None:
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
def test_the_stubs_live_beside_another_copy_of_the_contract(first: str) -> None:
    """Somebody who generates stubs of their own from the served contract has its messages in protobuf's shared pool."""
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
    """Editors show them; every message, field and method has one."""
    undocumented = []
    for name, kinds in (("iris_pb2.pyi", ast.ClassDef), ("iris_pb2_grpc.pyi", ast.FunctionDef)):
        tree = ast.parse((STUBS / "iris/v1" / name).read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and not node.name.startswith(("_", "add_"))]
        assert nodes
        undocumented += [node.name for node in nodes if not ast.get_docstring(node)]
    assert undocumented == []
    assert "min-max scaled" in (STUBS / "iris/v1/iris_pb2.pyi").read_text()


def test_a_generator_that_changes_its_mind_is_noticed(tmp_path: Path) -> None:
    module = tmp_path / "iris_pb2.py"
    module.write_text("DESCRIPTOR = somewhere_else()")
    with pytest.raises(ValueError, match="0 times, not once"):
        generate.own_pool(module)


def test_the_generators_are_those_of_the_constraints(oldest: Path) -> None:
    listed = subprocess.run([oldest, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout.split()
    wanted = [line for line in generate.CONSTRAINTS.read_text().splitlines() if "==" in line]
    assert set(wanted) <= set(listed)
