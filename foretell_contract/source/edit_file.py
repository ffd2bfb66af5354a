"""Edits a `.proto` file at the spans that protoc reports for its declarations.

Everything outside of the edited spans stays as it is, byte for byte.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from foretell_contract.source.compiler import compile_file
from foretell_contract.source.source_info import declarations

_TAB = 8
"""Width of a tab in protoc's column numbers."""

_OPTIONS, _DEPENDENCY = 8, 3
"""Field numbers of descriptor.proto, as paths in source info have them."""


@dataclass
class FileEdit:
    """Pending edits of one file. Spans are (start, end) byte offsets of the original file. Not thread-safe."""

    data: bytes
    file: FileDescriptorProto
    _edits: list[tuple[int, int, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> "FileEdit":
        """Read and compile a file. Raises ProtocError if it does not compile."""
        compiled = compile_file(path)
        return cls(path.read_bytes(), next(file for file in compiled.file if file.name == path.name))

    def __post_init__(self) -> None:
        self._lines = self.data.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._spans = {tuple(location.path): tuple(location.span) for location in self.file.source_code_info.location}
        self._paths = {name: path for path, name, _ in declarations(self.file)}

    def has(self, name: str) -> bool:
        """Whether the file declares this full name."""
        return name in self._paths

    def option(self, name: str, *numbers: int) -> tuple[int, int] | None:
        """Span of an option of a field or value, by the field numbers of its path; None if it has no span of its own."""
        path = (*self._paths[name], _OPTIONS, *numbers)
        return self._range(path) if path in self._spans else None

    def locations(self) -> Iterator[tuple[tuple[int, ...], int, int]]:
        """Path, start and end of everything that has a location, in the order of the file."""
        for location in self.file.source_code_info.location:
            yield tuple(location.path), *self._extent(location.span)

    def comment(self, name: str) -> tuple[int, int]:
        """Span of the `//` lines directly above a declaration; empty if there are none."""
        last = self._spans[self._paths[name]][0]
        first = last
        while first and self._lines[first - 1].lstrip().startswith(b"//"):
            first -= 1
        return self._starts[first], self._starts[last]

    def text(self, start: int, end: int) -> str:
        """The original text of a span."""
        return self.data[start:end].decode()

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace a span by `text`."""
        if self.data[start:end] != text.encode():
            self._edits.append((start, end, text.encode()))

    def replace_statement(self, name: str, text: str) -> None:
        """Replace the lines of a field or value, without its comment, by the lines of `text`."""
        start = self._starts[self._spans[self._paths[name]][0]]
        end = self._range(self._paths[name])[1]
        self.replace(start, self._starts[self._line_of(end) + 1], text)

    def append(self, name: str, text: str) -> None:
        """Insert the lines of `text` at the end of a message or enum."""
        end = self._range(self._paths[name])[1] - 1
        line = self._starts[self._line_of(end)]
        own = not self.data[line:end].strip()
        self.replace(line if own else end, line if own else end, text if own else f"\n{text}")

    def require(self, imported: str) -> None:
        """Add an import after the others, unless the file has it."""
        if imported not in self.file.dependency:
            last = max((span[0] for path, span in self._spans.items() if path[:1] == (_DEPENDENCY,)), default=self._spans[(2,)][0])
            self.replace(self._starts[last + 1], self._starts[last + 1], f'import "{imported}";\n')

    def insert_after_package(self, text: str) -> None:
        """Insert `text` as paragraphs of its own behind the package; behind the syntax if there is no package."""
        end = next((self._range(path)[1] for path in ((2,), (12,)) if path in self._spans), 0)
        self.replace(end, end, f"\n\n{text}\n")

    def add(self, text: str) -> None:
        """Append `text` to the file."""
        self.replace(len(self.data), len(self.data), text)

    @property
    def result(self) -> str:
        """The text of the file with all edits."""
        parts, done = list[bytes](), 0
        for start, end, text in sorted(self._edits, key=lambda edit: edit[0]):  # At one offset in the order of the calls.
            parts += (self.data[done:start], text)
            done = end
        return b"".join((*parts, self.data[done:])).decode()

    def _range(self, path: tuple[int, ...]) -> tuple[int, int]:
        return self._extent(self._spans[path])

    def _extent(self, span: Sequence[int]) -> tuple[int, int]:
        last, column = (span[2], span[3]) if len(span) == 4 else (span[0], span[2])
        return self._offset(span[0], span[1]), self._offset(last, column)

    def _offset(self, line: int, column: int) -> int:
        at = 0
        for index, byte in enumerate(self._lines[line]):
            if at >= column:
                return self._starts[line] + index
            at = (at // _TAB + 1) * _TAB if byte == ord("\t") else at + 1
        return self._starts[line] + len(self._lines[line])

    def _line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset, hi=len(self._lines)) - 1
