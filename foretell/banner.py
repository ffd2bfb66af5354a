"""What `foretell serve` prints once it is ready."""

import shlex
from typing import Any


def banner(server: dict[str, Any], bridge: dict[str, Any]) -> str:
    """Addresses, models, and two calls to paste, from what the two processes announced."""
    rest = f"http://{bridge['address']}"
    lines = ["Foretell is ready.", "", f"  gRPC   {server['address']}", f"  REST   {rest}", f"  docs   {rest}/docs"]
    lines += [f"  model  {model}" for model in server["models"]]
    example = bridge["example"]
    if example:
        body = shlex.quote(example["body"])
        lines += ["", "Try it:", ""]
        lines += [f"  curl {rest}{example['path']} -H 'content-type: application/json' -d {body}"]
        lines += [f"  grpcurl -plaintext -d {body} {server['address']} {example['method']}"]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
