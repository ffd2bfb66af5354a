"""Generate the Python client's stubs from the contracts.

    python clients/generate.py            write them
    python clients/generate.py --check    exit with 1 if the stubs in the tree are not current

Generated stubs need a runtime at least as new as their generator, so the generators are older than the server's packages. They are
installed in a virtual environment of their own, `.venv/stubs`, with the versions in `clients/constraints.txt`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.errors import ContractError
from foretell_contract.source.compiler import compile_protos, contract_files

ROOT = Path(__file__).parents[1]
PROTOS = ROOT / "protos"
CONSTRAINTS = ROOT / "clients/constraints.txt"
TOOLS = ROOT / ".venv/stubs"
IMPORT_ROOT = ROOT / "clients/python"
PACKAGE = "foretell_client/stubs"

_OWN_CONTRACTS = "iris/"
"""Folder of the contracts of this client."""

_MARK = '"""Generated from the contracts by `make generate`."""\n'
_SHARED_POOL, _OWN_POOL = "_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()"


def main(arguments: Sequence[str] | None = None, import_root: Path = IMPORT_ROOT) -> None:
    """Write the stubs under `import_root`, or compare them; exits with a message on failure."""
    parser = argparse.ArgumentParser(description="Generate the Python client's stubs from the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the stubs are not current")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        fresh, committed = Path(folder) / PACKAGE, import_root / PACKAGE
        try:
            generate(Path(folder))
        except ContractError as error:
            sys.exit(f"stubs cannot be generated: {error}")
        except subprocess.CalledProcessError:  # pip or protoc has printed the reason.
            sys.exit("stubs cannot be generated")
        stale = differences(fresh, committed)
        if stale and check:
            sys.exit("\n".join([*(f"{PACKAGE}/{name} is not current" for name in stale), "run make generate"]))
        if stale:
            shutil.rmtree(committed, ignore_errors=True)
            shutil.copytree(fresh, committed)


def tools() -> Path:
    """The Python interpreter with the generators; installs them at first use and when their versions change."""
    python, installed = TOOLS / "bin/python", TOOLS / "constraints.txt"
    if installed.is_file() and installed.read_bytes() == CONSTRAINTS.read_bytes():
        return python
    venv.create(TOOLS, clear=True, with_pip=True)
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    environment = {
        name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"
    }  # These are the constraints of the server.
    subprocess.run([*command, "-r", CONSTRAINTS], env=environment, check=True)
    shutil.copyfile(CONSTRAINTS, installed)
    return python


def generate(folder: Path) -> None:
    """Generate the stubs under the import root `folder`."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as contracts:
        names = [f"{PACKAGE}/{name}" for name in own_contracts()]
        contracts.write(plain_contracts())
        contracts.flush()
        command: list[str | Path] = [tools(), "-m", "grpc_tools.protoc", f"--descriptor_set_in={contracts.name}"]
        command += [f"--{kind}_out={folder}" for kind in ("python", "grpc_python")]
        command += [f"--{kind}_out=quiet:{folder}" for kind in ("mypy", "mypy_grpc")]
        subprocess.run([*command, *names], env=os.environ | {"PATH": f"{TOOLS / 'bin'}:{os.environ['PATH']}"}, check=True)
    for module in folder.rglob("*_pb2.py"):
        own_pool(module)
    for package in [folder / PACKAGE, *filter(Path.is_dir, (folder / PACKAGE).rglob("*"))]:
        (package / "__init__.py").write_text(_MARK)


def own_contracts() -> list[str]:
    """Names of the contracts that stubs are generated from."""
    return [name for name in contract_files(PROTOS) if name.startswith(_OWN_CONTRACTS)]


def without_custom_options(compiled: FileDescriptorSet) -> FileDescriptorSet:
    """A copy without custom options; the files that define them are still in it."""
    pool = DescriptorPool()  # Without extensions, every custom option is an unknown field.
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    file_set: Any = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet"))
    bare = file_set.FromString(compiled.SerializeToString())
    bare.DiscardUnknownFields()
    return FileDescriptorSet.FromString(bare.SerializeToString())


def plain_contracts() -> bytes:
    """A FileDescriptorSet of the contracts with comments, but without custom options and without the imports that define them.

    protoc rejects a contract that uses messages of another file.
    """
    compiled, plain = without_custom_options(compile_protos(PROTOS)), FileDescriptorSet()
    for name in own_contracts():
        file = next(file for file in compiled.file if file.name == name)
        for imports in (file.dependency, file.public_dependency, file.weak_dependency):
            del imports[:]
        file.name = f"{PACKAGE}/{name}"  # Decides the Python module; messages and methods keep their names.
        plain.file.append(file)
    return plain.SerializeToString()


def own_pool(module: Path) -> None:
    """Make a generated module use a descriptor pool of its own.

    The shared pool rejects a second definition of a message, so these stubs could not be imported beside a caller's own.
    """
    text = module.read_text()
    if text.count(_SHARED_POOL) != 1:
        raise ValueError(
            f"{module.name} has {_SHARED_POOL} {text.count(_SHARED_POOL)} times instead of once: adapt clients/generate.py"
        )
    module.write_text(text.replace(_SHARED_POOL, _OWN_POOL))


def differences(fresh: Path, committed: Path) -> list[str]:
    """Names of the files that differ between two folders, without byte-compiled ones."""
    ours, theirs = _contents(fresh), _contents(committed)
    return sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


if __name__ == "__main__":
    main()
