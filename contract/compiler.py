"""From `.proto` files to a descriptor set with comments, by the protoc inside grpcio-tools."""

import subprocess
import sys
import tempfile
from collections.abc import Set
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from contract.errors import ContractError

SHIPPED = Path(__file__).parents[1] / "protos"
"""The vendored imports and our own options, beside this package in a checkout and in a wheel."""

IMPORTED = ("buf", "google", "foretell")
"""Folders under a root that hold imports rather than contracts."""

ALWAYS = ("buf/validate/validate.proto", "foretell/v1/models.proto", "foretell/v1/options.proto", "google/api/annotations.proto")
"""Compiled along even where no contract imports them, so that their options can be looked up."""


def contract_files(root: Path) -> list[str]:
    """Names of the contracts under `root`, relative to it and sorted.

    Raises ContractError when `root` is not a folder or holds no contract.
    """
    if not root.is_dir():
        raise ContractError(f"no folder of contracts at {root}: create it or pass --protos")
    contracts = own_files(root, {".proto"})
    if not contracts:
        raise ContractError(f"no contract (a .proto file) under {root}")
    return contracts


def own_files(root: Path, suffixes: Set[str]) -> list[str]:
    """Names of the files under `root` with one of the suffixes, relative to it and sorted, imports left out."""
    names = sorted(path.relative_to(root) for path in root.rglob("*") if path.suffix in suffixes and path.is_file())
    return [name.as_posix() for name in names if name.parts[0] not in IMPORTED]


def compile_protos(root: Path) -> FileDescriptorSet:
    """Compile the contracts under `root`, with all imports, comments and `foretell.v1` itself.

    A separate process, because protoc writes its complaints to the file descriptor of stderr.
    Raises ContractError with protoc's first complaints, each with its place.
    """
    includes = [root, SHIPPED, Path(str(files("grpc_tools"))) / "_proto"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes)]
        command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
        command += [*contract_files(root), *ALWAYS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ContractError(f"the contract does not compile: {_complaints(done.stderr)}")
        return FileDescriptorSet.FromString(out.read_bytes())


def _complaints(stderr: str, most: int = 3) -> str:
    lines = [line for line in stderr.splitlines() if line and "warning" not in line.lower()]
    return "; ".join(lines[:most]) or "protoc gave no reason"
