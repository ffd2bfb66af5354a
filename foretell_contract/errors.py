"""What can be wrong before anything is served.

SetupError
└── ContractError       the `.proto` files contradict themselves
    ├── DeclarationError     certain things in them cannot be as they are
    └── ProtocError     the `.proto` files do not even compile
"""

from foretell_contract.problem import Problem


class SetupError(Exception):
    """The operator must change something before Foretell can start; the text is one line that says what."""


class ContractError(SetupError):
    """The contract contradicts itself."""

    def __init__(self, reason: str, fix: str = "") -> None:
        """What is wrong, and what to do about it; the text says both."""
        super().__init__(f"{reason}: {fix}" if fix else reason)
        self.reason, self.fix = reason, fix


class DeclarationError(ContractError):
    """Things of the contract that cannot be as they are."""

    def __init__(self, *problems: Problem) -> None:
        """Each with its name and what to do."""
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class ProtocError(ContractError):
    """The `.proto` files do not even compile."""

    def __init__(self, complaints: list[str], most: int = 3) -> None:
        """`complaints` are the compiler's own, each with its place; the text is the first of them."""
        self.complaints = complaints
        super().__init__(f"the contract does not compile: {'; '.join(complaints[:most]) or 'protoc gave no reason'}")
