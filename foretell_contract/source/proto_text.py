"""Writes `.proto` files in the style of `buf format`."""

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_WIDTH = 80
_INDENT = "  "

Option = tuple[str, str]
"""Name, such as `(buf.validate.field).double.gte`, and value as it is written in the file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A field, or a value of an enum."""

    comment: str
    declared: str
    """Such as `optional double petal_width = 4`."""
    options: tuple[Option, ...] = ()

    @property
    def name(self) -> str:
        """The name of the field or value."""
        return self.declared.rpartition(" = ")[0].rpartition(" ")[2]

    def lines(self, indent: str = _INDENT) -> Iterator[str]:
        """The comment and the declaration; two or more options get a line each."""
        yield from comment_lines(self.comment, indent)
        options = [f"{name} = {value}" for name, value in self.options]
        if len(options) < 2:
            yield f"{indent}{self.declared}{''.join(f' [{option}]' for option in options)};"
            return
        yield f"{indent}{self.declared} ["
        yield from (f"{indent}{_INDENT}{option}," for option in options[:-1])
        yield f"{indent}{_INDENT}{options[-1]}"
        yield f"{indent}];"


@dataclass(frozen=True, slots=True)
class Block:
    """A message, an enum, or a part of a service. The head is such as `message Features`."""

    comment: str
    head: str
    members: Sequence["Line | Block | Literal"]
    packed: bool = False
    """Whether to leave out the empty lines between members."""

    def lines(self, indent: str = "") -> Iterator[str]:
        """The comment, the head and the members."""
        yield from comment_lines(self.comment, indent)
        yield f"{indent}{self.head} {{"
        for index, member in enumerate(self.members):
            if index and not self.packed:
                yield ""
            yield from member.lines(indent + _INDENT)
        yield f"{indent}}}"


@dataclass(frozen=True, slots=True)
class Literal:
    """An option of a file or method whose value is a message. The head is such as `option (google.api.http) =`."""

    head: str
    entries: Sequence[Option]

    def lines(self, indent: str = "") -> Iterator[str]:
        """The head and a line per entry."""
        yield f"{indent}{self.head} {{"
        yield from (f"{indent}{_INDENT}{name}: {value}" for name, value in self.entries)
        yield f"{indent}}};"


def file_text(
    comment: str,
    package: str,
    imports: Iterable[str],
    parts: Iterable[Block | Literal],
) -> str:
    """The text of a whole file; imports are sorted."""
    sections = [
        [*comment_lines(comment), 'syntax = "proto3";'],
        [f"package {package};"],
        [f'import "{name}";' for name in sorted(imports)],
        *(part.lines() for part in parts),
    ]
    return "\n\n".join(filter(None, map("\n".join, sections))) + "\n"


def comment_lines(text: str, indent: str = "") -> Iterator[str]:
    """The lines of a comment; each line of `text` is wrapped, lines of a list with an indent."""
    for line in text.split("\n") if text else ():
        plain = "".join(c if c.isprintable() else " " for c in line).rstrip()
        hanging = "  " if plain.startswith("- ") else ""
        width = _WIDTH - len(indent) - 3
        wrapped = textwrap.wrap(plain, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
        yield from (f"{indent}// {part}".rstrip() for part in wrapped or [""])


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=False)


def number_text(value: float) -> str:
    """The shortest number literal that reads back as `value`; integers without a decimal point."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
