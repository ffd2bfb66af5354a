"""The text of a `.proto` file in its plain form: the author's own text without custom options, extensions and needless imports."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from foretell_contract.source.edit_file import FileEdit

_DROPPED = {"FileDescriptorProto.dependency", "FileDescriptorProto.extension"}
_DROPPED |= {"DescriptorProto.extension", "DescriptorProto.extension_range"}
"""The statements that the plain form lacks; it gets its imports anew."""

_BLANK = re.compile(r"^[ \t]+\n|(?<=\n\n)\n+", re.MULTILINE)


def plain_text(text: str, file: FileDescriptorProto, imports: Sequence[str], options: Mapping[str, str]) -> str:
    """The text of `file` without custom options and extensions, with these imports instead of its own, and with more options."""
    edit = FileEdit(text.encode(), file)
    lists: dict[tuple[int, int], list[str]] = {}
    within, dropped = (0, 0), 0
    for path, start, end in edit.locations():
        name, shown = _field_name(path), edit.text(start, end)
        if start < dropped:
            continue
        if start < within[1]:
            lists[within] += _kept(name, shown)
        elif name.endswith(".options") and shown.startswith("["):
            within = start, end
            lists[within] = []
        elif name in _DROPPED or (not name and shown.startswith("option")):
            edit.replace(start, end, "")
            dropped = end
    for (start, end), kept in lists.items():
        edit.replace(start - (not kept and edit.text(start - 1, start) == " "), end, f"[{', '.join(kept)}]" if kept else "")
    imported = [f'import "{name}";\n' for name in imports]
    edit.insert_after_package("".join((*imported, "\n", *(f"option {name} = {value};\n" for name, value in options.items()))))
    return _BLANK.sub("", edit.result)


def _kept(name: str, shown: str) -> list[str]:
    """What stays in the plain form of one entry in a list of options."""
    if name.endswith(".json_name"):
        return [shown] if shown.startswith("json_name") else []  # The value has a location of its own.
    if name.endswith(".default_value"):
        return [f"default = {shown}"]
    return [shown] if "Options." in name or "FeatureSet." in name else []


def _field_name(path: Sequence[int]) -> str:
    """Message and name of the field of descriptor.proto to which a path in source info leads; empty for a custom option."""
    holder: Any = FileDescriptorProto.DESCRIPTOR
    name, steps = "FileDescriptorProto", iter(path)
    for number in steps:
        field = holder.fields_by_number.get(number) if holder is not None else None
        if field is None:
            return ""
        name, holder = f"{holder.name}.{field.name}", field.message_type
        if field.is_repeated:
            next(steps, None)
    return name
