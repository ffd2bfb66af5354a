"""Finds all rules of a message that do not compile.

protovalidate reports only the first, so each field and message is compiled again without the rules of all others.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import ContractError
from foretell_contract.fields import messages_within
from foretell_contract.problem import Problem, error
from foretell_contract.rules.rules import Rules
from foretell_contract.source.compiler import is_contract
from foretell_contract.source.source_info import declarations

_RULED = (DescriptorProto, FieldDescriptorProto, OneofDescriptorProto)


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
            for _, name, declared in declarations(proto):
                scope = name.rpartition(".")[0] if isinstance(declared, OneofDescriptorProto) else name
                if isinstance(declared, _RULED) and scope != kept and not getattr(declared.options, "map_entry", False):
                    declared.ClearField("options")
        pool.AddSerializedFile(proto.SerializeToString())
    return pool
