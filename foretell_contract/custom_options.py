"""Reads custom options, such as `foretell.v1.column`, from descriptors of a private descriptor pool.

Python's protobuf parses options with the default pool, where the extensions of a private pool are unknown bytes. They are
parsed again here with the option classes of the private pool.
"""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class CustomOptions:
    """The custom options that one pool knows, by full name. Safe to use from any thread; each call parses the options again."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._classes: dict[str, type[Message]] = {}

    def get(self, descriptor: Any, extension: str) -> Any:
        """The value of `extension` on a descriptor of any kind; None if it is not set, or if the pool has no such extension.

        A pool lacks it when its descriptor set was compiled with an older `foretell/v1/options.proto`.
        """
        options = self._read(descriptor)
        try:
            handle = self._pool.FindExtensionByName(extension)
        except KeyError:
            return None
        return options.Extensions[handle] if options.HasExtension(handle) else None

    def all_set(self, descriptor: Any) -> dict[str, Any]:
        """Every custom option that is set on a descriptor, by full name."""
        return {field.full_name: value for field, value in self._read(descriptor).ListFields() if field.is_extension}

    def _read(self, descriptor: Any) -> Any:
        raw = descriptor.GetOptions()
        name = raw.DESCRIPTOR.full_name
        if name not in self._classes:
            self._classes[name] = GetMessageClass(self._pool.FindMessageTypeByName(name))
        return self._classes[name].FromString(raw.SerializeToString())
