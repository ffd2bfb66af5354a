"""Which rules of a message cannot be compiled: each field is tried without the rules of all others, for the first alone is told."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import ContractError
from foretell_contract.rules.rules import Rules
from foretell_contract.source.compiler import is_contract


def uncompilable(message: Descriptor, rules: Rules) -> Iterator[tuple[str, str]]:
    """Full name of each field or message whose rules cannot be compiled, however deep in `message`, and why."""
    whole = None
    try:
        if rules.compile(message):
            return
    except ContractError as refusal:
        whole = message.full_name, str(refusal)
    found = list(_each(message))
    yield from found or ([whole] if whole else [])


def _each(message: Descriptor) -> Iterator[tuple[str, str]]:
    files = _with_imports(message.file, {}).values()
    for part in _parts(message, set()):
        for name in (part.full_name, *(field.full_name for field in part.fields)):
            pool = _pool(files, name)
            try:
                Rules(CustomOptions(pool)).compile(pool.FindMessageTypeByName(part.full_name))
            except ContractError as refusal:
                yield name, str(refusal)


def _with_imports(file: FileDescriptor, found: dict[str, FileDescriptor]) -> dict[str, FileDescriptor]:
    """`found` and a file, behind all that it imports."""
    for each in file.dependencies:
        if each.name not in found:
            _with_imports(each, found)
    found[file.name] = file
    return found


def _parts(message: Descriptor, seen: set[str]) -> Iterator[Descriptor]:
    """A message, and those that it holds."""
    if message.full_name not in seen:
        seen.add(message.full_name)
        yield message
        for field in message.fields:
            if field.message_type is not None:
                yield from _parts(field.message_type, seen)


def _pool(files: Iterable[FileDescriptor], kept: str) -> DescriptorPool:
    """The files, with no rules in the contracts but those on the field or message `kept`."""
    pool = DescriptorPool()
    for file in files:
        proto = FileDescriptorProto.FromString(file.serialized_pb)
        if is_contract(file.name):
            for message in proto.message_type:
                _strip(message, f"{proto.package}.{message.name}".lstrip("."), kept)
        pool.AddSerializedFile(proto.SerializeToString())
    return pool


def _strip(message: DescriptorProto, name: str, kept: str) -> None:
    if name != kept and not message.options.map_entry:
        for each in (message, *message.oneof_decl):
            each.ClearField("options")
    for field in message.field:
        if f"{name}.{field.name}" != kept:
            field.ClearField("options")
    for nested in message.nested_type:
        _strip(nested, f"{name}.{nested.name}", kept)
