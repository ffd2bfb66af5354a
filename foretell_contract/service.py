"""Services and methods of a contract: their messages, how rows travel in them, and their REST paths."""

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
from foretell_contract.problem import Problem, error, one_line

_OWN_PACKAGE = "foretell.v1."


class Shape(Enum):
    """How rows travel in a method."""

    ROW = "row"
    """One Features in, one Response out."""
    BATCH = "batch"
    """A message whose only field is `repeated Features` in, one whose only field is `repeated Response` out."""
    STREAM = "stream"
    """Features streamed in, Responses streamed out."""
    WATCH = "watch"
    """One message in, a stream of messages out. Only services of `foretell.v1` have such methods; models cannot answer them."""


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
    response: type[Message]
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
        """Path of the gRPC call, such as `/iris.v1.IrisService/Predict`."""
        return f"/{self.service}/{self.name}"

    @property
    def features(self) -> Descriptor:
        """The message of one row of features."""
        return (self.rows and self.rows.message_type) or self.input

    @property
    def answer(self) -> Descriptor:
        """The message that answers one row."""
        return (self.answers and self.answers.message_type) or self.output


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a contract, which one model answers."""

    full_name: str
    methods: tuple[Method, ...]
    model: str
    """Name of the model that answers: `foretell.v1.model`, else the package without its version, such as `iris`."""
    file: str

    @property
    def package(self) -> str:
        """Such as `iris.v1`."""
        return self.full_name.rpartition(".")[0]


def read_service(service: ServiceDescriptor, options: CustomOptions) -> tuple[Service, tuple[Problem, ...]]:
    """The service with its methods in the order of the contract, and the problems of methods that cannot be served.

    Methods with a problem are left out of the service.
    """
    methods: list[Method] = []
    problems: list[Problem] = []
    for method in service.methods:
        try:
            methods.append(_method(method, options))
        except DeclarationError as invalid:
            problems += invalid.problems
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
    rows, answers = _repeated_message(method.input_type), _repeated_message(method.output_type)
    shape = _shape(method, rows)
    if shape is Shape.BATCH and answers is None:
        reason = f"{method.full_name} takes a batch, but its response {method.output_type.full_name} is not one"
        raise DeclarationError(error(method.full_name, reason, "give the response one field that repeats a message"))
    if shape is not Shape.BATCH:
        rows = answers = None
    http = options.get(method, "google.api.http")
    paths = () if method.server_streaming else tuple(_paths(method, http))
    classes = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    return Method(service, method.name, shape, method.input_type, method.output_type, *classes, rows, answers, paths)


def _shape(method: MethodDescriptor, rows: FieldDescriptor | None) -> Shape:
    if method.client_streaming and method.server_streaming:
        return Shape.STREAM
    if method.server_streaming and method.full_name.startswith(_OWN_PACKAGE):
        return Shape.WATCH
    if method.client_streaming or method.server_streaming:
        reason = f"{method.full_name} streams in one direction only"
        raise DeclarationError(error(method.full_name, reason, "make the request and the response a stream, or neither"))
    return Shape.BATCH if rows else Shape.ROW


def _refuse_recursion(message: Descriptor, parents: tuple[str, ...] = ()) -> None:
    """A row must have a fixed set of columns, which a message that contains itself has not."""
    if message.full_name in parents:
        reason = f"{message.full_name} contains itself, which no model can take"
        raise DeclarationError(error(message.full_name, reason, "remove the field that leads back to it"))
    for field in message.fields:
        if field.message_type is not None:
            _refuse_recursion(field.message_type, (*parents, message.full_name))


def _repeated_message(message: Descriptor) -> FieldDescriptor | None:
    """The only field of a message, if it repeats another message."""
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
            pattern = str(rule).partition("additional_bindings")[0]
            reason = f"{method.full_name} has a REST path that cannot be served: {one_line(pattern)}"
            fix = 'set google.api.http to `post: "/path"` without variables, and `body: "*"`'
            raise DeclarationError(error(method.full_name, reason, fix))
        yield rule.post.rstrip("/") or "/"
