"""Compiles `.proto` files to descriptor sets with comments, with the protoc of grpcio-tools."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.errors import ContractError, ProtocError
from foretell_contract.source.imports import ERROR_DETAILS, WELL_KNOWN, with_imports


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
"""Top folders of imports; their files are not contracts."""

ALWAYS = (
    "buf/validate/validate.proto",
    "foretell/v1/models.proto",
    "foretell/v1/options.proto",
    "google/api/annotations.proto",
    *ERROR_DETAILS,
)
"""Part of every descriptor set, even if no contract imports them, so that their options can be read."""

_PROTOC = "import sys; from grpc_tools._protoc_compiler import run_main; sys.exit(run_main([word.encode() for word in sys.argv]))"
"""The core of `python -m grpc_tools.protoc`, without its other imports, which take as long as compiling."""


def contract_files(root: Path) -> list[str]:
    """Names of the contracts under `root`: relative paths, sorted.

    Raises ContractError if `root` is not a folder or holds no contract.
    """
    if not root.is_dir():
        raise ContractError(f"no folder of contracts at {root}", "create it or pass --protos")
    contracts = own_files(root, {".proto"})
    if not contracts:
        raise ContractError(f"no contract (a .proto file) under {root}", "write one with `foretell init MODEL`, or pass --protos")
    return contracts


def has_contracts(root: Path) -> bool:
    """Whether `root` exists and holds a contract."""
    return root.is_dir() and bool(own_files(root, {".proto"}))


def own_files(root: Path, suffixes: Set[str]) -> list[str]:
    """Names of the files under `root` with one of the suffixes, without imports: relative paths, sorted."""
    names = sorted(path.relative_to(root) for path in root.rglob("*") if path.suffix in suffixes and path.is_file())
    return [name.as_posix() for name in names if is_contract(name.as_posix())]


def is_contract(name: str) -> bool:
    """Whether a file with this name belongs to a contract, rather than to the imports."""
    return name.partition("/")[0] not in IMPORTED


def compile_protos(root: Path) -> FileDescriptorSet:
    """Compile the contracts under `root`, with all imports, comments and the files in ALWAYS.

    Raises ProtocError with protoc's messages.
    """
    return _compile([root], contract_files(root))


def compile_file(file: Path) -> FileDescriptorSet:
    """Compile one contract like `compile_protos`. Imports are searched from each of its parent folders, the nearest first."""
    return _compile(file.resolve().parents, [file.name])


def compile_shipped(name: str) -> FileDescriptorSet:
    """Compile a `.proto` file that comes with Foretell."""
    return _compile([], [name])


def compile_texts(texts: Mapping[str, str]) -> FileDescriptorSet:
    """Compile files by name and text, with all imports and comments. Raises ProtocError with protoc's messages."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            file = Path(folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return with_imports({file.name: file for file in _compile([Path(folder)], list(texts)).file}, texts)


def with_shipped_files(compiled: FileDescriptorSet) -> FileDescriptorSet:
    """The set with the files in ALWAYS added if it lacks any; each file comes after its imports."""
    files = {file.name: file for file in compiled.file}
    if files.keys() >= set(ALWAYS):
        return compiled
    files = {file.name: file for file in _compile([], []).file} | files
    return with_imports(files, files)


def is_shipped(name: str) -> bool:
    """Whether a file with this name comes with Foretell or with protoc."""
    return not is_contract(name) and ((SHIPPED / name).is_file() or name.startswith(WELL_KNOWN))


def _compile(roots: Sequence[Path], names: Sequence[str]) -> FileDescriptorSet:
    """Run protoc in another process, because it writes its messages to file descriptor 2.

    Its working folder is empty, because protoc prefers a file in the working folder to one in an include folder.
    """
    nearest, *farther = [path.resolve() for path in roots] or [SHIPPED]
    includes = [nearest, SHIPPED, Path(str(files("grpc_tools"))) / "_proto", *farther]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        command = [sys.executable, "-c", _PROTOC, *(f"-I{path}" for path in includes)]
        command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}", *names, *ALWAYS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise ProtocError([line for line in done.stderr.splitlines() if line and "warning" not in line.lower()])
        return FileDescriptorSet.FromString(out.read_bytes())
