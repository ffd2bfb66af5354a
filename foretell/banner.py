"""What `foretell serve` prints once it is ready."""

import shlex
from typing import Any


def banner(facts: dict[str, Any]) -> str:
    """Addresses, models, and two calls to paste, from what the processes announced."""
    grpc, rest = facts["grpc_address"], f"http://{facts['http_address']}"
    lines = ["Foretell is ready.", "", f"  gRPC   {grpc}", f"  REST   {rest}", f"  docs   {rest}/docs"]
    lines += [f"  control {facts['control']}"] * bool(facts["control"])
    lines += [f"  control {url}/docs" for url in [facts.get("control_url")] if url]
    lines += [f"  model  {model}" for model in facts["models"]]
    lines += [f"  follow {followed}" for followed in facts.get("follows", ())]
    example = facts["example"]
    if example:
        body = shlex.quote(example["body"])
        lines += ["", "Try it:", ""]
        lines += [f"  curl {rest}{example['path']} -H 'content-type: application/json' -d {body}"]
        lines += [f"  grpcurl -plaintext -d {body} {grpc} {example['method']}"]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
