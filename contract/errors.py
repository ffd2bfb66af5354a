"""What can be wrong before anything is served.

SetupError
└── ContractError   the `.proto` files do not compile, or contradict themselves
"""


class SetupError(Exception):
    """The operator must change something before Foretell can start; the text is one line that says what."""


class ContractError(SetupError):
    """The contract does not compile, or contradicts itself."""
