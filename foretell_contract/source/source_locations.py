"""Where in the `.proto` files each thing of a contract stands."""

from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.source.comments import named_paths


@dataclass(frozen=True, slots=True, order=True)
class SourceLocation:
    """A line of a file."""

    file: str
    """Its name below the folder of the contracts."""
    line: int = 0
    """Counted from 1; 0 where the descriptor set was made without source info."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def source_locations(descriptor_set: bytes) -> dict[str, SourceLocation]:
    """By full name of a service, method, message, field, oneof, enum or value; files under their own names."""
    found: dict[str, SourceLocation] = {}
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        lines = {tuple(location.path): location.span[0] + 1 for location in file.source_code_info.location}
        found |= {name: SourceLocation(file.name, lines.get(path, 0)) for path, name in named_paths(file)}
        found[file.name] = SourceLocation(file.name, 1 if lines else 0)
    return found
