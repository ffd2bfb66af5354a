"""File and line of each declaration of a contract."""

from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from foretell_contract.source.comments import named_paths


@dataclass(frozen=True, slots=True, order=True)
class SourceLocation:
    """A line of a file."""

    file: str
    """Name of the file, relative to the folder of the contracts."""
    line: int = 0
    """Counted from 1; 0 if the descriptor set has no source info."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def source_locations(descriptor_set: bytes) -> dict[str, SourceLocation]:
    """Location by full name of a service, method, message, field, oneof, enum or value, and of each file by its name."""
    found: dict[str, SourceLocation] = {}
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        lines = {tuple(location.path): location.span[0] + 1 for location in file.source_code_info.location}
        found |= {name: SourceLocation(file.name, lines.get(path, 0)) for path, name in named_paths(file)}
        found[file.name] = SourceLocation(file.name, 1 if lines else 0)
    return found
