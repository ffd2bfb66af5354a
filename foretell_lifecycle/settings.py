"""The sources of settings, and the settings of every process.

Sources, first wins: command-line flags, environment variables `FORETELL_<NAME>`, the TOML file `foretell.toml` in the working
folder (or the file that `FORETELL_CONFIG` names), the defaults.
"""

import os
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from foretell_contract.errors import SetupError


class ProcessSettings(BaseSettings):
    """Settings of every process."""

    model_config = SettingsConfigDict(
        env_prefix="FORETELL_",
        extra="ignore",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    protos: Path = Path("protos")
    """Folder of the contracts. Its folders `buf`, `google` and `foretell` hold imports."""

    drain_seconds: float = Field(default=10.0, ge=0, le=3600, allow_inf_nan=False)
    """Longest time for which a stopping process finishes accepted calls."""

    share_ports: bool = False
    """Whether processes of one user with this setting may listen on the same ports; `foretell serve` sets it for `processes`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment and TOML file only."""
        file = toml_file()
        try:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SetupError(f"{file} is not TOML: {error}") from None


def toml_file() -> Path:
    """The settings file, which may be absent. Raises SetupError if `FORETELL_CONFIG` names an absent one."""
    named = os.environ.get("FORETELL_CONFIG")
    if named is not None and not Path(named).is_file():
        raise SetupError(f"FORETELL_CONFIG names {named}, which is not a file")
    return Path(named or "foretell.toml")


def settings_error(error: ValidationError) -> SetupError:
    """Wrong settings and the reasons, in one line."""
    problems = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
    return SetupError("settings: " + "; ".join(problems))
