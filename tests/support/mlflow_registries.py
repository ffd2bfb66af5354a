"""An MLflow registry in a SQLite file, with models that MLflow itself saves, registers and names by aliases."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest


class LocalRegistry:
    """A registry with models saved by MLflow."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mlflow.db"
        self.uri = f"sqlite:///{self.file}"
        self._folder = folder
        with warnings.catch_warnings(action="ignore"):  # Warnings of MLflow's dependencies.
            import mlflow.sklearn

            _make(self.uri)
            self.client = mlflow.MlflowClient(self.uri, self.uri)

    def saved(self, estimator: Any, **facts: Any) -> Path:
        """Saves a model; returns the folder."""
        import mlflow.sklearn

        folder = self._folder / f"saved-{len(list(self._folder.iterdir()))}"
        with warnings.catch_warnings(action="ignore"):
            mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=[], **facts)
        return folder

    def register(self, name: str, folder: Path, alias: str = "") -> str:
        """Registers the folder as the next version of `name`, with an alias; returns the version."""
        with warnings.catch_warnings(action="ignore"):
            if name not in {model.name for model in self.client.search_registered_models()}:
                self.client.create_registered_model(name)
            version = str(self.client.create_model_version(name, str(folder)).version)
        if alias:
            self.point(name, alias, version)
        return version

    def point(self, name: str, alias: str, version: str) -> None:
        """Moves an alias."""
        self.client.set_registered_model_alias(name, alias, version)

    def go_down(self) -> None:
        """Makes the registry unreadable."""
        shutil.move(self.file, self.file.with_suffix(".away"))

    def come_back(self) -> None:
        """Undoes `go_down`."""
        shutil.move(self.file.with_suffix(".away"), self.file)


def _make(uri: str) -> None:
    """Creates the present tables. MLflow itself runs all migrations since 2018, which takes ten seconds."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.model_registry.dbmodels import models as _registry_tables  # noqa: F401
    from mlflow.store.tracking.dbmodels.models import Base

    engine = sqlalchemy.create_engine(uri)
    for table in Base.metadata.tables.values():
        table.indexes -= {index for index in table.indexes if not index.columns}  # SQLAlchemy 2.1 reads some indexes as empty.
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config = _get_alembic_config(uri)
        config.attributes["connection"] = connection
        command.stamp(config, "head")
    engine.dispose()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> LocalRegistry:
    """One registry a session, because importing MLflow takes seconds. Each test uses its own model names."""
    return LocalRegistry(tmp_path_factory.mktemp("registry"))
