"""Finds all rules of a message that do not compile.

protovalidate reports only the first, so each field and message is compiled again without the rules of all others.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import ContractError
from foretell_contract.fields import messages_within
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import Rules
from foretell_contract.source.compiler import is_contract


def uncompilable(message: Descriptor, rules: Rules) -> Iterator[Problem]:
    """One for each field or message in `message`, however deep, whose rules do not compile."""
    first = None
    try:
        if rules.compile(message):
            return
    except ContractError as invalid:
        first = _problem(message.full_name, invalid)
    found = list(_one_by_one(message))
    yield from found or ([first] if first else [])


def _problem(name: str, invalid: ContractError) -> Problem:
    fix = "use rules of the field's type, and CEL expressions that compile"
    return error(name, f"a rule of {name} cannot be compiled: {invalid}", fix)


def _one_by_one(message: Descriptor) -> Iterator[Problem]:
    files = _with_imports(message.file, {}).values()
    for part in messages_within(message):
        for name in (part.full_name, *(field.full_name for field in part.fields)):
            pool = _pool(files, name)
            try:
                Rules(CustomOptions(pool)).compile(pool.FindMessageTypeByName(part.full_name))
            except ContractError as invalid:
                yield _problem(name, invalid)


def _with_imports(file: FileDescriptor, found: dict[str, FileDescriptor]) -> dict[str, FileDescriptor]:
    """Add a file to `found` after all files that it imports."""
    for each in file.dependencies:
        if each.name not in found:
            _with_imports(each, found)
    found[file.name] = file
    return found


def _pool(files: Iterable[FileDescriptor], kept: str) -> DescriptorPool:
    """A pool of the files, whose contracts have no rules except on the field or message `kept`."""
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
