"""What stands between the values of a message on the wire: https://protobuf.dev/programming-guides/encoding/."""

I64, DELIMITED, I32 = 1, 2, 5
"""Wire types: 8 bytes, a length and so many bytes, 4 bytes."""


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a value of the field `number`."""
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    """A number that is not negative, seven bits a byte."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
