"""What the name of a response's field says where `(foretell.v1.output)` is silent."""

PROBABILITY = "_probability"


def class_named(field: str) -> str:
    """The class, as a name can spell it, whose probability a field of this name holds; empty for any other name."""
    name = field.removesuffix(PROBABILITY)
    return name if name != field else ""
