"""The plain form of contracts: for protoc and its plugins in any language, without the files that define custom options."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from foretell_contract.source.imports import ERROR_DETAILS, WELL_KNOWN
from foretell_contract.source.plain_text import plain_text
from foretell_contract.source.proto_text import quoted
from foretell_contract.source.source_info import declarations, type_names
from foretell_contract.source.spelling import pascal


def plain_form(compiled: FileDescriptorSet, texts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Texts of the named files and their imports, without custom options and extensions, and of ERROR_DETAILS as they are.

    Imports that only options need are left out. A file without a package for Go or Java gets one.
    """
    files = {file.name: file for file in compiled.file}
    homes = {f".{name}": file.name for file in files.values() for name in type_names(file)}
    found: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in found and not name.startswith(WELL_KNOWN):
            imports = sorted({homes[each] for each in _used_types(files[name])} - {name})
            found[name] = plain_text(texts[name], files[name], imports, _packages(files[name]))
            for imported in imports:
                add(imported)

    for name in names:
        add(name)
    return found | {name: texts[name] for name in ERROR_DETAILS}


def _used_types(file: FileDescriptorProto) -> Iterator[str]:
    for _, _, declared in declarations(file):
        if isinstance(declared, MethodDescriptorProto):
            yield from (declared.input_type, declared.output_type)
        elif isinstance(declared, FieldDescriptorProto) and declared.type_name:
            yield declared.type_name


def _packages(file: FileDescriptorProto) -> dict[str, str]:
    """The options for Go and Java that are not set. An import path in Go needs a slash."""
    stem, known = PurePosixPath(file.name).stem, {field.name for field, _ in file.options.ListFields()}
    package = file.package or stem
    usual = {
        "go_package": quoted(f"contract/{package.replace('.', '/')};{package.replace('.', '')}"),
        "java_package": quoted(package),
        "java_outer_classname": quoted(f"{pascal(stem, 'contract')}Proto"),
        "java_multiple_files": "true",
    }
    return {name: value for name, value in usual.items() if name not in known}
