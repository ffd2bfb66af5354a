"""`pytest --foretell`: each check of `foretell test` as a test beside those of the user.

pytest loads this module in every project where Foretell is installed, so it imports nothing else of Foretell without `--foretell`.
"""

import re
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foretell.testing.suite import Check, CheckSuite
    from foretell.testing.verifier import Verifier

_OPTIONS = ("model", "target", "rest", "protos", "models", "roots", "tls")
"""Fields of SuiteOptions, in their order; `--foretell-` goes before each."""

_PATHS = {"protos": "contracts", "models": "models", "roots": "certificates to trust"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--foretell`, and the options of `foretell test` as `--foretell-...`."""
    group = parser.getgroup("foretell", "tests of a server against its contract")
    group.addoption("--foretell", action="store_true", help="Test a server with requests made from its contract.")
    group.addoption("--foretell-model", metavar="NAME", help="Only the services of this model.")
    group.addoption("--foretell-target", metavar="HOST:PORT", help="A running gRPC server; without it, one is started.")
    group.addoption("--foretell-rest", metavar="URL", help="The REST address of that server.")
    for name, what in _PATHS.items():
        group.addoption(f"--foretell-{name}", metavar="PATH", type=Path, help=f"Where the {what} are.")
    group.addoption("--foretell-tls", action="store_true", help="The target takes encrypted calls.")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the plug-in if `--foretell` is given."""
    if config.getoption("foretell"):
        config.pluginmanager.register(_Plugin(config), "foretell-checks")


class _Plugin:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stack = ExitStack()
        self._suite: CheckSuite | None = None

    @pytest.hookimpl(tryfirst=True)  # Before -k and -m select.
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Appends a test for each check."""
        from foretell.testing.suite import CheckSuite, SuiteOptions
        from foretell_contract.errors import SetupError

        options = SuiteOptions(*(self._config.getoption(f"foretell_{name}") for name in _OPTIONS))
        try:
            self._suite = CheckSuite(options)
            added: list[Any] = [_Item.from_parent(session, name=each.id, check=each, plugin=self) for each in self._suite.checks()]
        except SetupError as error:
            raise pytest.UsageError(f"--foretell: {_in_pytest(str(error))}") from None
        items.extend(added)
        self._config.hook.pytest_collectreport(
            report=pytest.CollectReport("foretell", "passed", None, added)
        )  # pytest counts tests by it.

    def pytest_sessionfinish(self) -> None:
        """Stops the server, if one was started."""
        self._stack.close()

    @cached_property
    def verifier(self) -> "Verifier":
        """The verifier of all checks; its first use starts the server."""
        assert self._suite is not None  # noqa: S101  # Items are only made with a suite.
        return self._stack.enter_context(self._suite.connect())


def _in_pytest(text: str) -> str:
    """The text with the names that the options of `foretell test` have here."""
    return re.sub(rf"(?<!\S)--(?=(?:{'|'.join(_OPTIONS)})\b)", "--foretell-", text)


class _Failed(Exception):
    """The server does not do what the contract demands."""


class _Item(pytest.Item):
    def __init__(self, *, check: "Check", plugin: _Plugin, **facts: Any) -> None:
        super().__init__(nodeid=f"foretell::{check.id}", **facts)
        self._check = check
        self._plugin = plugin

    def runtest(self) -> None:
        """Runs the check against the server."""
        result = self._check.run(self._plugin.verifier)
        if result.failures:
            from foretell.testing.test_command import details

            raise _Failed("\n".join([result.why, *(f"  {title:<9}{text}" for title, text in details(result))]))
        if result.skipped:
            pytest.skip(_in_pytest(result.skipped))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Request, expected result and replies; a traceback through Foretell would tell the user nothing."""
        from foretell_contract.errors import SetupError

        if isinstance(excinfo.value, (_Failed, SetupError)):
            return _in_pytest(str(excinfo.value))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The title in reports. It starts with text, because pytest replaces the dots of a title that equals the end of the id."""
        return self.path, None, f"foretell: {self.name}"
