"""From `.proto` files to a descriptor set with comments, by the protoc inside grpcio-tools."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence, Set
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from foretell_contract.errors import ContractError, ProtocError


def _shipped_protos() -> Path:
    """The folder `protos` with the vendored imports and `foretell/v1`.

    A wheel holds it inside this package (`force-include` in pyproject.toml): in site-packages, another distribution may own the
    name `protos`. In a checkout it lies beside this package.
    """
    package = Path(__file__).parents[1]
    packed = package / "protos"
    return packed if packed.is_dir() else package.parent / "protos"


SHIPPED = _shipped_protos()
"""Root of the `.proto` files that come with Foretell."""

IMPORTED = ("buf", "google", "foretell")
"""Folders under a root that hold imports rather than contracts."""

ALWAYS = ("buf/validate/validate.proto", "foretell/v1/models.proto", "foretell/v1/options.proto", "google/api/annotations.proto")
"""Compiled along even where no contract imports them, so that their options can be looked up."""

_PROTOC = "import sys; from grpc_tools._protoc_compiler import run_main; sys.exit(run_main([word.encode() for word in sys.argv]))"
"""What `python -m grpc_tools.protoc` comes to, without what else it imports, which takes as long as it compiles."""


def contract_files(root: Path) -> list[str]:
    """Names of the contracts under `root`, relative to it and sorted.

    Raises ContractError when `root` is not a folder or holds no contract.
    """
    if not root.is_dir():
        raise ContractError(f"no folder of contracts at {root}", "create it or pass --protos")
    contracts = own_files(root, {".proto"})
    if not contracts:
        raise ContractError(f"no contract (a .proto file) under {root}", "write one with `foretell init MODEL`, or pass --protos")
    return contracts


def has_contracts(root: Path) -> bool:
    """Whether there is any contract under `root`, which need not exist."""
    return root.is_dir() and bool(own_files(root, {".proto"}))


def own_files(root: Path, suffixes: Set[str]) -> list[str]:
    """Names of the files under `root` with one of the suffixes, relative to it and sorted, imports left out."""
    names = sorted(path.relative_to(root) for path in root.rglob("*") if path.suffix in suffixes and path.is_file())
    return [name.as_posix() for name in names if is_contract(name.as_posix())]


def is_contract(name: str) -> bool:
    """Whether a file of this name below the root is a contract's own, rather than an import."""
    return name.partition("/")[0] not in IMPORTED


def compile_protos(root: Path) -> FileDescriptorSet:
    """Compile the contracts under `root`, with all imports, comments and `foretell.v1` itself.

    Raises ContractError with protoc's first complaints, each with its place.
    """
    return _compile([root], contract_files(root))


def compile_file(file: Path) -> FileDescriptorSet:
    """Compile one contract as `compile_protos` does. Its imports are looked for from each of the folders that it lies in."""
    return _compile(file.resolve().parents, [file.name])


def compile_shipped(name: str) -> FileDescriptorSet:
    """Compile a file that comes with Foretell."""
    return _compile([], [name])


def with_shipped_files(compiled: FileDescriptorSet) -> FileDescriptorSet:
    """The set with what else a contract is read with, where whoever compiled it left that out; imports come first."""
    files = {file.name: file for file in compiled.file}
    if files.keys() >= set(ALWAYS):
        return compiled
    files = {file.name: file for file in _compile([], []).file} | files
    ordered: dict[str, FileDescriptorProto] = {}

    def put(name: str) -> None:
        if name in files and name not in ordered:
            for imported in files[name].dependency:
                put(imported)
            ordered[name] = files[name]

    for name in files:
        put(name)
    return FileDescriptorSet(file=ordered.values())


def is_shipped(name: str) -> bool:
    """Whether a file of this name comes with Foretell or with protoc, rather than with a contract."""
    return not is_contract(name) and ((SHIPPED / name).is_file() or name.startswith("google/protobuf/"))


def _compile(roots: Sequence[Path], names: Sequence[str]) -> FileDescriptorSet:
    """A separate process, because protoc writes its complaints to the file descriptor of stderr.

    It runs in an empty folder, because it takes a name for that of a file in its working folder where there is one.
    """
    nearest, *farther = [path.resolve() for path in roots] or [SHIPPED]
    includes = [nearest, SHIPPED, Path(str(files("grpc_tools"))) / "_proto", *farther]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        command = [sys.executable, "-c", _PROTOC, *(f"-I{path}" for path in includes)]
        command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}", *names, *ALWAYS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise ProtocError(_complaints(done.stderr))
        return FileDescriptorSet.FromString(out.read_bytes())


def _complaints(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line and "warning" not in line.lower()]
