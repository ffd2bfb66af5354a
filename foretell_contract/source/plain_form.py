"""The plain form of contracts: for protoc and its plugins in any language, without the files that define custom options."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.source.imports import WELL_KNOWN, with_imports
from foretell_contract.source.source_info import named_paths, type_names
from foretell_contract.source.spelling import pascal

ERROR_DETAILS = ("google/rpc/error_details.proto", "google/rpc/status.proto")
"""The messages in the details of a refusal over gRPC. No contract imports them."""

_SYNTAX, _PACKAGE = (12,), (2,)


def without_custom_options(compiled: FileDescriptorSet) -> FileDescriptorSet:
    """A copy without custom options; the files that define them are still in it."""
    pool = DescriptorPool()  # Without extensions, every custom option is an unknown field.
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    file_set: Any = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet"))
    bare = file_set.FromString(compiled.SerializeToString())
    bare.DiscardUnknownFields()
    return FileDescriptorSet.FromString(bare.SerializeToString())


def plain_form(compiled: FileDescriptorSet, names: Iterable[str]) -> FileDescriptorSet:
    """The named files and ERROR_DETAILS without custom options and extensions; each file comes after its imports.

    Imports that only options need are left out. A file without a package for Go or Java gets one.
    """
    files = {file.name: file for file in copy.deepcopy(compiled).file}
    homes = {f".{name}": file.name for file in files.values() for name in type_names(file)}
    for file in files.values():
        if not file.name.startswith(WELL_KNOWN):
            _make_plain(file, homes)
    return without_custom_options(with_imports(files, (*names, *ERROR_DETAILS)))


def _make_plain(file: FileDescriptorProto, homes: Mapping[str, str]) -> None:
    used = [kind for service in file.service for method in service.method for kind in (method.input_type, method.output_type)]
    for message in _messages(file.message_type):
        used += [field.type_name for field in message.field if field.type_name]
        del message.extension[:], message.extension_range[:]
    del file.extension[:], file.public_dependency[:], file.weak_dependency[:]
    file.dependency[:] = sorted({homes[name] for name in used} - {file.name})
    places = {_SYNTAX, _PACKAGE, *(path for path, _ in named_paths(file))}
    locations = [each for each in file.source_code_info.location if tuple(each.path) in places]
    file.source_code_info.CopyFrom(descriptor_pb2.SourceCodeInfo(location=locations))
    _set_packages(file)


def _set_packages(file: FileDescriptorProto) -> None:
    """Sets the options for Go and Java that are not set. An import path in Go needs a slash."""
    stem, options = PurePosixPath(file.name).stem, file.options
    chosen = {field.name for field, _ in options.ListFields()}
    package = file.package or stem
    usual = {
        "go_package": f"contract/{package.replace('.', '/')};{package.replace('.', '')}",
        "java_package": package,
        "java_outer_classname": f"{pascal(stem, 'contract')}Proto",
        "java_multiple_files": True,
    }
    for name, value in usual.items():
        if name not in chosen:
            setattr(options, name, value)


def _messages(messages: Iterable[DescriptorProto]) -> Iterator[DescriptorProto]:
    """The messages and those nested in them."""
    for message in messages:
        yield message
        yield from _messages(message.nested_type)
