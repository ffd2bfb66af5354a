"""Reading the custom options of descriptors that live in a private pool.

Such options arrive as unknown bytes of the default pool's option classes. They are parsed again with the classes of the private
pool, where the extensions are known.
"""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class Options:
    """The custom options known to one pool, by their full names."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._classes: dict[str, type[Message]] = {}

    def get(self, descriptor: Any, extension: str) -> Any:
        """The value of `extension` on a file, message, field or method descriptor; None where it is not set."""
        raw = descriptor.GetOptions()
        kind = raw.DESCRIPTOR.full_name
        if kind not in self._classes:
            self._classes[kind] = GetMessageClass(self._pool.FindMessageTypeByName(kind))
        options: Any = self._classes[kind].FromString(raw.SerializeToString())
        handle = self._pool.FindExtensionByName(extension)
        return options.Extensions[handle] if options.HasExtension(handle) else None
