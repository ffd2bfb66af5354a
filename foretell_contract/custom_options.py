"""Reading the custom options of descriptors that live in a private pool.

Such options arrive as unknown bytes of the default pool's option classes. They are parsed again with the classes of the private
pool, where the extensions are known.
"""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class CustomOptions:
    """The custom options known to one pool, by their full names."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._classes: dict[str, type[Message]] = {}

    def get(self, descriptor: Any, extension: str) -> Any:
        """The value of `extension` on any descriptor; None where it is not set, or the pool is of before it was thought of."""
        options = self._read(descriptor)
        try:
            handle = self._pool.FindExtensionByName(extension)
        except KeyError:
            return None
        return options.Extensions[handle] if options.HasExtension(handle) else None

    def all_set(self, descriptor: Any) -> dict[str, Any]:
        """Every custom option that is set on a descriptor, by its full name."""
        return {field.full_name: value for field, value in self._read(descriptor).ListFields() if field.is_extension}

    def _read(self, descriptor: Any) -> Any:
        raw = descriptor.GetOptions()
        kind = raw.DESCRIPTOR.full_name
        if kind not in self._classes:
            self._classes[kind] = GetMessageClass(self._pool.FindMessageTypeByName(kind))
        return self._classes[kind].FromString(raw.SerializeToString())
