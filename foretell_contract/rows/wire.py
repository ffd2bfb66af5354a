"""The protobuf wire format: https://protobuf.dev/programming-guides/encoding/."""

VARINT, I64, DELIMITED, I32 = 0, 1, 2, 5
"""Wire types: a varint, 8 bytes, a length and that many bytes, 4 bytes."""


def tag(number: int, wire_type: int) -> bytes:
    """The bytes before each value of the field `number`."""
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    """A non-negative integer, seven bits a byte, least significant first."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
