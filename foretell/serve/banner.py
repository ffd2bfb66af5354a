"""The text that `foretell serve` prints when it is ready."""

import shlex
from typing import Any


def banner(facts: dict[str, Any]) -> str:
    """Addresses, models and two calls to paste, from the facts that the processes announced."""
    grpc, rest = facts["grpc_address"], f"http://{facts['http_address']}"
    entries = [("gRPC", grpc), ("REST", rest), ("docs", f"{rest}/docs")]
    entries += [("control", facts["control"])] * bool(facts["control"])
    entries += [("control", f"{url}/docs") for url in [facts.get("control_url")] if url]
    entries += [("model", model) for model in facts["models"]]
    entries += [("follow", followed) for followed in facts.get("follows", ())]
    width = max(6, *(len(label) for label, _ in entries))
    lines = ["Foretell is ready.", "", *(f"  {label:<{width}} {text}" for label, text in entries)]
    missing = facts.get("missing")
    if missing:
        lines += ["", f"Not served: {', '.join(missing)} (no model yet; add one: `foretell add FILE --name {missing[0]}`)"]
    example = facts["example"]
    if example:
        body = shlex.quote(example["body"])
        lines += ["", "Try it:", ""]
        lines += [f"  curl {rest}{example['path']} -H 'content-type: application/json' -d {body}"]
        lines += [f"  grpcurl -plaintext -d {body} {grpc} {example['method']}"]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
