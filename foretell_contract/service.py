"""The services of a contract: which method takes what, in which shape, under which REST paths."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.custom_options import CustomOptions
from foretell_contract.errors import DeclarationError
from foretell_contract.fields import is_nested
from foretell_contract.problem import Problem, error

_OURS = "foretell.v1."


class Shape(Enum):
    """How rows travel in a method."""

    ROW = "row"
    """One Features in, one Response out."""
    BATCH = "batch"
    """A message whose only field repeats Features in, one whose only field repeats Response out."""
    STREAM = "stream"
    """Features streamed in, Responses streamed out."""
    WATCH = "watch"
    """One message in, messages out until there is no more to tell. Not for models: only a service of our own has such."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service."""

    service: str
    """Full name of the service, such as `iris.v1.IrisService`."""
    name: str
    shape: Shape
    input: Descriptor
    output: Descriptor
    request: type[Message]
    """Class of `input`."""
    response: type[Message]
    """Class of `output`."""
    rows: FieldDescriptor | None
    """The repeated field of a batch request; None for the other shapes."""
    answers: FieldDescriptor | None
    """The repeated field of a batch response; None for the other shapes."""
    paths: tuple[str, ...]
    """REST paths, as in `google.api.http`; empty for a stream and a watch."""

    @property
    def full_name(self) -> str:
        """Such as `iris.v1.IrisService.Predict`."""
        return f"{self.service}.{self.name}"

    @property
    def path(self) -> str:
        """The path of the gRPC call, such as `/iris.v1.IrisService/Predict`."""
        return f"/{self.service}/{self.name}"

    @property
    def features(self) -> Descriptor:
        """The message that one row is."""
        return (self.rows and self.rows.message_type) or self.input

    @property
    def answer(self) -> Descriptor:
        """The message that the answer to one row is."""
        return (self.answers and self.answers.message_type) or self.output


@dataclass(frozen=True, slots=True)
class Service:
    """One service that a model answers."""

    full_name: str
    methods: tuple[Method, ...]
    model: str
    """Name of the model that answers: `foretell.v1.model`, else the package without its version, such as `iris`."""
    file: str
    """Name of the file that defines it."""

    @property
    def package(self) -> str:
        """Such as `iris.v1`."""
        return self.full_name.rpartition(".")[0]


def read_service(service: ServiceDescriptor, options: CustomOptions) -> tuple[Service, tuple[Problem, ...]]:
    """The service with its methods in the order of the contract, and what there is against each that is left out.

    Left out is what no model can answer or no path can reach.
    """
    methods: list[Method] = []
    problems: list[Problem] = []
    for method in service.methods:
        try:
            methods.append(_method(method, options))
        except DeclarationError as refusal:
            problems += refusal.problems
    package = service.file.package
    model = options.get(service, "foretell.v1.model") or _without_version(package)
    return Service(service.full_name, tuple(methods), model, service.file.name), tuple(problems)


def _without_version(package: str) -> str:
    name, _, last = package.rpartition(".")
    return name if name and last[:1] == "v" and last[1:2].isdigit() else package


def _method(method: MethodDescriptor, options: CustomOptions) -> Method:
    service = method.containing_service.full_name
    _refuse_recursion(method.input_type)
    _refuse_recursion(method.output_type)
    rows, answers = _only_repeated(method.input_type), _only_repeated(method.output_type)
    watches = method.server_streaming and not method.client_streaming and service.startswith(_OURS)
    if method.client_streaming != method.server_streaming and not watches:
        raise DeclarationError(error(method.full_name, f"{method.full_name} streams one way only", "stream both ways, or neither"))
    shape = Shape.WATCH if watches else Shape.STREAM if method.client_streaming else Shape.BATCH if rows else Shape.ROW
    if shape is Shape.BATCH and answers is None:
        reason = f"{method.full_name} takes a batch, and does not answer with one"
        raise DeclarationError(error(method.full_name, reason, "let its response be one repeated message too"))
    if shape is not Shape.BATCH:
        rows = answers = None
    http = options.get(method, "google.api.http")
    paths = () if method.server_streaming else tuple(_paths(method, http))
    classes = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    return Method(service, method.name, shape, method.input_type, method.output_type, *classes, rows, answers, paths)


def _refuse_recursion(message: Descriptor, above: tuple[str, ...] = ()) -> None:
    """A row is flat enough to be a row of a matrix: no message holds itself."""
    if message.full_name in above:
        reason = f"{message.full_name} holds itself, and no model can take it"
        raise DeclarationError(error(message.full_name, reason, "take the field out that does"))
    for field in message.fields:
        if field.message_type is not None:
            _refuse_recursion(field.message_type, (*above, message.full_name))


def _only_repeated(message: Descriptor) -> FieldDescriptor | None:
    """The field of a message that does nothing but repeat another message."""
    fields: list[FieldDescriptor] = list(message.fields)
    if len(fields) != 1 or not fields[0].is_repeated:
        return None
    return fields[0] if is_nested(fields[0]) else None


def _paths(method: MethodDescriptor, http: Any) -> Iterator[str]:
    if http is None:
        yield f"/{method.containing_service.full_name}/{method.name}"
        return
    for rule in (http, *http.additional_bindings):
        if rule.WhichOneof("pattern") != "post" or rule.body != "*" or not rule.post.startswith("/") or "{" in rule.post:
            reason = f"{method.full_name} has a REST path that cannot be served"
            fix = 'let google.api.http be `post: "/path"` without variables, and `body: "*"`'
            raise DeclarationError(error(method.full_name, reason, fix))
        yield rule.post.rstrip("/") or "/"
