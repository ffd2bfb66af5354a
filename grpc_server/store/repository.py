"""Models on disk: `<root>/<name>/<version>/` holds an artifact, its manifest and its golden rows, and is immutable."""

import hashlib
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grpc_server.errors import ADD_AGAIN, ArtifactAltered, ModelError, ModelNotFound, Unwritable
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.formats.mlflow_folder import importable_code
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store import durable
from grpc_server.store.manifest import CODE, CONTRACT, GOLDEN, MANIFEST, GoldenRow, Manifest, read_golden, read_manifest
from grpc_server.store.route_table import VERSION

_VERSION = re.compile(VERSION)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of a model, read and verified. Models are loaded from these bytes, not from the files."""

    name: str
    version: str
    manifest: Manifest
    artifact: bytes
    golden: tuple[GoldenRow, ...]
    contract: bytes = b""
    """Descriptor set of the contract at the time of adding; empty if there was none."""
    code: Path | None = None
    """Archive of the modules that the model needs beside those installed; None without any."""

    @property
    def title(self) -> str:
        """Model and version, for messages."""
        return f"model {self.name!r} version {self.version}"

    def load(self) -> Runtime:
        """The model. Raises ModelUnloadable."""
        with importable_code(self.code):
            return format_table.load(self.manifest.format, self.artifact)


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal, as in manifests."""
    return hashlib.sha256(data).hexdigest()


class Repository:
    """The models under one folder. Safe for several processes: a version appears complete, by one rename."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names of the models, sorted; empty without the folder."""
        folders = self.root.iterdir() if self.root.is_dir() else ()
        return sorted(path.name for path in folders if _NAME.fullmatch(path.name) and self.versions(path.name))

    def folder(self, name: str) -> Path:
        """The folder of a model, existing or not. Raises ModelError for an invalid name."""
        if not _NAME.fullmatch(name) or ".." in name:
            raise ModelError(
                f"{name[:80]!r} is no name for a model", "use lower-case letters, digits, '.', '_' and '-', at most 64"
            )
        return self.root / name

    def versions(self, name: str) -> list[str]:
        """Versions of a model, oldest first; empty for an unknown model."""
        folder = self.folder(name)
        if not folder.is_dir():
            return []
        numbers = sorted(int(path.name) for path in folder.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir())
        return [str(number) for number in numbers]

    def latest(self, name: str) -> str:
        """The newest version. Raises ModelNotFound if there is none."""
        versions = self.versions(name)
        if not versions:
            raise ModelNotFound(f"no model {name!r} in {self.root}", f"add one with `foretell add FILE --name {name}`")
        return versions[-1]

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of a version; other files are not read. Raises ModelNotFound or ArtifactAltered."""
        folder = self.folder(name) / version
        if not folder.is_dir():
            raise ModelNotFound(f"no version {version} of model {name!r} in {self.root}")
        return read_manifest(_bytes(folder / MANIFEST), str(folder))

    def read(self, name: str, version: str) -> Bundle:
        """Reads a version and verifies the digest of every file.

        Raises ModelNotFound, or ArtifactAltered for a missing or changed file.
        """
        folder = self.folder(name) / version
        manifest = self.manifest(name, version)
        files = {file: _bytes(folder / file) for file in manifest.files}
        for file, data in files.items():
            if sha256(data) != manifest.files[file]:
                raise ArtifactAltered(f"{folder / file} is not as it was added (its SHA-256 differs)", ADD_AGAIN)
        golden = read_golden(files.get(GOLDEN, b""))
        code = folder / CODE if CODE in files else None
        return Bundle(name, version, manifest, files[manifest.artifact], golden, files.get(CONTRACT, b""), code)

    def passed_gates(self, name: str, version: str) -> bool:
        """Whether a server has loaded the version before: its next start then needs no trial. Raises ModelError without it."""
        return self._passed_file(name, version).exists()

    def answered_contract(self, name: str, version: str) -> bytes:
        """The contract revision for which a server loaded the version last; empty if none did. Raises ModelError without it."""
        try:
            return self._passed_file(name, version).read_bytes()
        except OSError:
            return b""

    def remember_passed(self, name: str, version: str, revision: bytes) -> None:
        """Notes for both. Does nothing if the repository is read-only or the version was removed."""
        with suppress(OSError, ModelError):
            file = self._passed_file(name, version)
            file.parent.mkdir(exist_ok=True)
            if not file.exists() or file.read_bytes() != revision:
                durable.replace(file, revision)

    def _passed_file(self, name: str, version: str) -> Path:
        digest = self.manifest(name, version).digest  # A removed version's number can be given again.
        return self.folder(name) / ".proven" / f"{version}-{digest}"

    def add(self, name: str, manifest: Manifest, files: dict[str, bytes]) -> str:
        """Writes the next version durably and returns its number. A crash leaves all of it or nothing.

        Raises Unwritable if the folder cannot be written.
        """
        folder = self.folder(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder, ignore_cleanup_errors=True) as temporary:
                staged = Path(temporary)
                staged.chmod(0o755)  # The server may run as another user.
                for file, data in (*files.items(), (MANIFEST, manifest.model_dump_json(indent=2).encode())):
                    durable.write(staged / file, data)
                durable.sync(staged)
                version = self._publish(name, staged)
                durable.sync(folder)
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror}") from None
        return version

    def _publish(self, name: str, staged: Path) -> str:
        while True:
            version = str(max(map(int, self.versions(name)), default=0) + 1)
            try:
                staged.rename(self.root / name / version)
                return version
            except OSError:
                if version not in self.versions(name):
                    raise  # Otherwise another process took this number meanwhile.


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactAltered(f"{path} cannot be read ({error.strerror})", ADD_AGAIN) from None
