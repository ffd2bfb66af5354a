"""The order of compiled files: each after its imports."""

from collections.abc import Iterable, Mapping

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

WELL_KNOWN = "google/protobuf/"
"""Folder of the files that come with every protoc."""


ERROR_DETAILS = ("google/rpc/error_details.proto", "google/rpc/status.proto")
"""The messages in the details of a refusal over gRPC. No contract imports them."""


def with_imports(files: Mapping[str, FileDescriptorProto], names: Iterable[str]) -> FileDescriptorSet:
    """The named files and all that they import, each after its imports; what `files` lacks is left out."""
    ordered: dict[str, FileDescriptorProto] = {}

    def add(name: str) -> None:
        if name in files and name not in ordered:
            for imported in files[name].dependency:
                add(imported)
            ordered[name] = files[name]

    for name in names:
        add(name)
    return FileDescriptorSet(file=ordered.values())
