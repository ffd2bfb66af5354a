"""Loads contracts from `.proto` files or descriptor sets, for the server, the bridge, the commands and the docs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.custom_options import CustomOptions
from foretell_contract.defects import defects
from foretell_contract.errors import ContractError
from foretell_contract.problem import Problem, one_line
from foretell_contract.rules.rules import Rules
from foretell_contract.service import Service, read_service
from foretell_contract.source.compiler import (
    SHIPPED,
    compile_protos,
    compile_shipped,
    contract_files,
    is_contract,
    own_files,
    with_shipped_files,
)
from foretell_contract.source.imports import WELL_KNOWN
from foretell_contract.source.source_info import comments

MODEL_SERVICE = "foretell.v1.ModelService"
LIST_MODELS_RESPONSE = "foretell.v1.ListModelsResponse"
"""The service that lists the models of a server, and its response. Every loaded contract knows both."""

CONTROL_SERVICE = "foretell.v1.ControlService"
CONTROL = "foretell/v1/control.proto"

_IMAGE_SUFFIXES = {".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp"}
_MOST_TITLES = 3


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """The `info` of one contract, or of several that are served together."""

    title: str
    version: str
    contact: dict[str, str]
    """Any of name, url and email; empty if the contract gives none."""
    description: str
    """Markdown: the comment at the top of the file."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The contracts of one folder, in a descriptor pool of their own.

    Two loaded contracts never share messages or rules, even of one name. Immutable; safe to use from any thread.
    """

    pool: DescriptorPool
    services: tuple[Service, ...]
    apis: dict[str, ApiInfo]
    """Title, version and contact of each file with services, by its name."""
    rules: Rules
    options: CustomOptions
    comments: dict[str, str]
    """Comment text by full name of a service, method, message, field, enum or value."""
    sources: dict[str, str]
    imports: dict[str, str]
    """Text of the files that the contracts import and of those in ALWAYS, by name; google.protobuf comes with every protoc."""
    images: dict[str, bytes]
    """Image files beside the contracts, by name; the Markdown of comments may show them."""
    descriptor_set: bytes
    """A serialised FileDescriptorSet with all imports and comments."""
    defects: tuple[Problem, ...] = ()
    """Problems that stop a start; empty if the contract was loaded strictly."""

    @property
    def api(self) -> ApiInfo:
        """Title, version and contact of all services together."""
        return _merged([self.apis[file] for file in dict.fromkeys(service.file for service in self.services)])

    def restricted_to(self, models: Collection[str]) -> "Contract":
        """The same contract with only the services of these models, and without the sources of other services."""
        services = tuple(service for service in self.services if service.model in models)
        others = self.apis.keys() - {service.file for service in services}
        sources = {name: text for name, text in self.sources.items() if name not in others}
        return replace(self, services=services, sources=sources)

    def comment(self, full_name: str) -> str:
        """The comment of a service, method, message, field, enum or value by full name; empty if it has none."""
        return self.comments.get(full_name, "")

    def message(self, full_name: str) -> type[Message]:
        """The class of a message in this contract's pool. Raises KeyError for an unknown name."""
        return GetMessageClass(self.pool.FindMessageTypeByName(full_name))


def load(root: Path, *, strict: bool = True) -> Contract:
    """Compile and check the contracts under `root`.

    Raises ContractError if they do not compile or define no service; and, if `strict`, for the first of their `defects`, such as
    colliding REST paths, a rule that does not compile or an example that breaks a rule.
    """
    names = contract_files(root)
    sources = {name: _text(root / name) for name in names}
    images = {name: (root / name).read_bytes() for name in own_files(root, _IMAGE_SUFFIXES)}
    compiled = compile_protos(root)
    return _read(compiled, names, sources, _imports(root, compiled, sources), images, strict=strict)


def load_control() -> Contract:
    """The contract of `foretell.v1.ControlService`."""
    compiled, sources = compile_shipped(CONTROL), {CONTROL: _text(SHIPPED / CONTROL)}
    return _read(compiled, [CONTROL], sources, _imports(SHIPPED, compiled, sources), {}, strict=True)


def load_set(compiled: FileDescriptorSet) -> Contract:
    """Check compiled contracts; the result has no sources and no images.

    Raises ContractError as `load` does, and if an import is missing.
    """
    names = [file.name for file in compiled.file if is_contract(file.name)]
    if not names:
        raise ContractError("the descriptor set holds imports but no contract", "build it from the contract's own files")
    return _read(with_shipped_files(compiled), names, {}, {}, {}, strict=True)


def _read(
    compiled: FileDescriptorSet,
    names: list[str],
    sources: dict[str, str],
    imports: dict[str, str],
    images: dict[str, bytes],
    *,
    strict: bool,
) -> Contract:
    pool = _pool(compiled)
    options = CustomOptions(pool)
    rules = Rules(options)
    files: list[Any] = [pool.FindFileByName(name) for name in names]
    read = [read_service(service, options) for file in files for service in file.services_by_name.values()]
    if not read:
        raise ContractError(f"no service is defined in {', '.join(names)}", "define one with an rpc that a model answers")
    services = tuple(service for service, _ in read)
    problems = (*chain.from_iterable(unserved for _, unserved in read), *defects(services, rules))
    if problems and strict:
        raise ContractError(str(problems[0]))
    texts = {key: text for file in compiled.file for key, text in comments(file).items()}
    apis = {file.name: _read_api_info(file, options, texts.get(file.name, "")) for file in files if file.services_by_name}
    return Contract(pool, services, apis, rules, options, texts, sources, imports, images, compiled.SerializeToString(), problems)


def _pool(compiled: FileDescriptorSet) -> DescriptorPool:
    pool = DescriptorPool()
    for file in compiled.file:
        try:
            pool.AddSerializedFile(file.SerializeToString())
        except TypeError as error:
            if "exceeded maximum size" in str(error):
                reason = f"a message of {file.name} takes more than 64 KiB, protobuf's limit: some 8,000 numbers or 4,000 texts"
                raise ContractError(reason, "declare numbers as a list (`repeated double`), or train on fewer columns") from None
            raise ContractError(f"{file.name} cannot be read from the descriptor set: {one_line(error)}") from None
    return pool


def _imports(root: Path, compiled: FileDescriptorSet, sources: Collection[str]) -> dict[str, str]:
    names = [file.name for file in compiled.file if file.name not in sources and not file.name.startswith(WELL_KNOWN)]
    return {name: _text(next(folder / name for folder in (root, SHIPPED) if (folder / name).is_file())) for name in names}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(f"{file} is not UTF-8 at byte {error.start}", "save it as UTF-8") from None


def _read_api_info(file: Any, options: CustomOptions, comment: str) -> ApiInfo:
    """The `foretell.v1.api` option of a file; a file without it is titled by its package."""
    api = options.get(file, "foretell.v1.api")
    if api is None:
        return ApiInfo(file.package, "", {}, comment)
    return ApiInfo(api.title, api.version, {field.name: value for field, value in api.contact.ListFields()}, comment)


def _merged(infos: Sequence[ApiInfo]) -> ApiInfo:
    """One info for all: all titles and versions, a chapter of description for each, and the contact if they share one."""
    if len(infos) == 1:
        return infos[0]
    first, *others = infos
    titles = list(dict.fromkeys(info.title for info in infos))
    return ApiInfo(
        title=", ".join(titles) if len(titles) <= _MOST_TITLES else f"{first.title} and {len(titles) - 1} more",
        version=", ".join(sorted({info.version for info in infos if info.version})),
        contact=first.contact if all(info.contact == first.contact for info in others) else {},
        description="\n\n".join(f"# {info.title} {info.version}".rstrip() + f"\n\n{info.description}" for info in infos),
    )
