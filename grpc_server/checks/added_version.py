"""What adding a model to the repository came to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Added:
    """A version that was added."""

    version: str
    format: str
    """Format of the artifact that serves."""
    reason: str
    """Why the trained model has its format."""
    production: str = ""
    """The version in production now; empty if it is unknown."""
    original: str = ""
    """Format of the trained model, if a conversion serves."""
    acceleration: str = ""
    """A line on the conversion that serves, or on why none does."""

    def sentences(self, name: str) -> str:
        """What was added, whether it is in production, and what accelerates it, a line each."""
        lines = [f"added {name} version {self.version} as {self.original or self.format}: {self.reason}"]
        if self.production == self.version:
            lines.append(f"production of {name} is version {self.version}")
        elif self.production:
            lines.append(f"production of {name} stays version {self.production}: `foretell promote {name} {self.version}` moves it")
        return "\n".join([*lines, self.acceleration] if self.acceleration else lines)
