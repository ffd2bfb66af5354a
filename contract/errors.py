"""What can be wrong before anything is served.

SetupError
└── ContractError       the `.proto` files contradict themselves
    └── NotCompiled     the `.proto` files do not even compile
"""


class SetupError(Exception):
    """The operator must change something before Foretell can start; the text is one line that says what."""


class ContractError(SetupError):
    """The contract contradicts itself."""


class NotCompiled(ContractError):
    """The `.proto` files do not even compile."""

    def __init__(self, complaints: list[str], most: int = 3) -> None:
        """`complaints` are the compiler's own, each with its place; the text is the first of them."""
        self.complaints = complaints
        super().__init__(f"the contract does not compile: {'; '.join(complaints[:most]) or 'protoc gave no reason'}")
