"""Errors that stop a start or a command before anything is served.

SetupError
└── ContractError         a contract that cannot be served
    ├── DeclarationError  services, methods or fields that cannot be served
    └── ProtocError       `.proto` files that protoc rejects
"""

from foretell_contract.problem import Problem


class SetupError(Exception):
    """The operator must change something before Foretell can start. The text is one line: what is wrong, and what to do."""


class ContractError(SetupError):
    """The contract cannot be served."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(f"{reason}: {fix}" if fix else reason)
        self.reason, self.fix = reason, fix


class DeclarationError(ContractError):
    """One or more declarations of the contract cannot be served."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class ProtocError(ContractError):
    """The `.proto` files do not compile."""

    def __init__(self, messages: list[str], most: int = 3) -> None:
        self.messages = messages
        super().__init__(f"the contract does not compile: {'; '.join(messages[:most]) or 'protoc gave no reason'}")
