"""Writes small contracts for tests."""

from pathlib import Path
from textwrap import dedent

HEAD = """
syntax = "proto3";
package {package};
import "buf/validate/validate.proto";
import "foretell/v1/options.proto";
import "google/api/annotations.proto";
"""

WELL_KNOWN = """
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
"""

SERVICE = """
service TestService {
  rpc Predict(Features) returns (Response);
}
"""

RESPONSE = """
message Response {
  double no_probability = 1;
  double yes_probability = 2;
}
"""


def write_contract(root: Path, *parts: str, package: str = "test.v1", name: str = "test.proto") -> Path:
    """Write a `.proto` file of HEAD and `parts` under `root`, in the folder of its package; returns `root`."""
    file = root / package.replace(".", "/") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD.replace("{package}", package) + "".join(map(dedent, parts)))
    return root


def features(*fields: str) -> str:
    """A message Features of fields such as `optional double x [(buf.validate.field).required = true]`, numbered in order."""
    lines = []
    for number, field in enumerate(fields, 1):
        declared, bracket, options = field.partition(" [")
        lines.append(f"  {declared} = {number}{bracket}{options};")
    return "\nmessage Features {\n" + "\n".join(lines) + "\n}\n"
