"""Drafts a whole contract from a model."""

from dataclasses import dataclass

from foretell.check.training_range import FIELD
from foretell.init.draft_features import DraftedEnum, PackageNames, draft_feature, field_numbers, sentence_case
from foretell.init.draft_response import ResponseDraft, finds_outliers
from foretell_contract.source.proto_text import Block, Line, Literal, file_text, quoted
from foretell_contract.source.spelling import Names, counted, pascal, snake
from grpc_server.checks.inspect_model import ModelDescription

MAX_ROWS = 10_000
"""Rows of a batch that the contract allows."""

_IMPORTS = ("buf/validate/validate.proto", "foretell/v1/options.proto", "google/api/annotations.proto")
_TIMES = {
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
    "google.protobuf.Duration": "google/protobuf/duration.proto",
}

_STATUSES = """
Statuses a caller should handle, on every method:
- INVALID_ARGUMENT: a value is missing, not finite or out of bounds. The details hold a google.rpc.BadRequest, one violation per \
broken rule.
- FAILED_PRECONDITION: the model's answer is not finite or breaks a rule of the response. Do not retry.
- RESOURCE_EXHAUSTED: too many rows are waiting. Retry with backoff.
- UNAVAILABLE: the server is starting or stopping. Retry with backoff.
- DEADLINE_EXCEEDED: no answer within the deadline of the call."""


@dataclass(frozen=True, slots=True)
class ContractDraft:
    """A drafted contract, not yet written to a file."""

    package: str
    features: tuple[tuple[Line, DraftedEnum | None], ...]
    response: ResponseDraft
    path: str
    """The REST path for single rows."""
    model: str = ""
    """The name of the model, if it is not the package without its version."""

    @property
    def text(self) -> str:
        """The text of the `.proto` file."""
        enums = [enum for _, enum in self.features if enum] + self.response.enums
        lines = [line for line, _ in self.features]
        imports = {_TIMES[kind] for line in lines for kind in _TIMES if line.declared.startswith(f"{kind} ")}
        parts: list[Block | Literal] = [
            Literal("option (foretell.v1.api) =", [("title", quoted(sentence_case(self._name))), ("version", quoted("0.1"))]),
            self._service,
            Block("Features is one row: exactly the columns the model was trained on.", "message Features", lines),
            Block("Response is the answer to one row.", "message Response", self.response.lines),
            *(enum.block for enum in enums),
            *_BATCHES,
        ]
        comment = (
            f"Predictions of the model {self._name} from {counted(len(lines), 'column')}.\n\nThe contract is served over gRPC and "
            "over REST, with the same rules and the same messages in every refusal."
        )
        return file_text(comment, self.package, (*_IMPORTS, *imports), parts)

    @property
    def _name(self) -> str:
        return self.package.split(".")[-2]

    @property
    def _service(self) -> Block:
        name = pascal(self._name, "model") + "Service"
        several = (
            f"PredictBatch answers up to {MAX_ROWS:,} rows in one call, in their order. One bad row refuses the call; the refusal "
            "names each broken rule with its row, such as `rows[3]`."
        )
        stream = (
            "PredictStream answers rows as they arrive, in order. The first refused row ends the stream with INVALID_ARGUMENT "
            "and its index, counted from 0, after every earlier answer was sent."
        )
        members: list[Block | Line] = [Line("", f"option (foretell.v1.model) = {quoted(self.model)}")] if self.model else []
        members += [
            _method("Predict answers one row.", "Predict(Features) returns (Response)", self.path),
            _method(several, "PredictBatch(FeaturesBatch) returns (ResponseBatch)", f"{self.path}/batch"),
            _method(stream, "PredictStream(stream Features) returns (stream Response)", ""),
        ]
        return Block(f"{name} answers rows with the model {self._name}.\n{_STATUSES}", f"service {name}", members)


def _method(comment: str, signature: str, path: str) -> Block:
    members: list[Line | Literal] = [Line("", "option idempotency_level = NO_SIDE_EFFECTS")]
    if path:
        members.append(Literal("option (google.api.http) =", [("post", quoted(path)), ("body", quoted("*"))]))
    return Block(comment, f"rpc {signature}", members, packed=True)


_BATCHES = (
    Block(
        "FeaturesBatch is several rows that are answered together.",
        "message FeaturesBatch",
        [
            Line(
                f"The rows, 1 to {MAX_ROWS:,} of them.",
                "repeated Features rows = 1",
                ((f"{FIELD}.repeated.min_items", "1"), (f"{FIELD}.repeated.max_items", str(MAX_ROWS))),
            )
        ],
    ),
    Block(
        "ResponseBatch is the answers to a FeaturesBatch.",
        "message ResponseBatch",
        [Line("One answer for each row, in the order of the request.", "repeated Response rows = 1")],
    ),
)


def draft_contract(
    model: ModelDescription, package: str, path: str, target_name: str, class_names: dict[str, str], model_name: str = ""
) -> ContractDraft:
    """A contract for a model; `ResponseDraft` describes `target_name` and `class_names`."""
    package_names, names = PackageNames([pascal(package.split(".")[-2], "model") + "Service"]), Names()
    outliers = finds_outliers(model)
    features = tuple(
        draft_feature(column, number, names, package_names, outliers=outliers)
        for number, column in zip(field_numbers(), model.columns, strict=False)
    )
    response = ResponseDraft(model, snake(target_name, "label") if target_name else "", class_names, package_names)
    return ContractDraft(package, features, response, path, model_name if model_name != package.rpartition(".")[0] else "")
