"""Fields of responses, and the outputs of models that fill them."""

from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.contract import Contract, load
from grpc_server.rows.answer_mapping import AnswerMapping, message_builder
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target
from tests.support.contract_files import SERVICE, write_contract

ENUM = """
enum Form { FORM_UNSPECIFIED = 0; FORM_WIDE = 1; FORM_LONG = 2; FORM_ODD = 3; }
message Ranked { Form form = 1; float share = 2; }
message Features { double x = 1; }
"""
FORMS = (Target("", ("long", "wide")),)
ALL_OF_FORMS = (Output("probability", 0), Output("probability", 1), Output("label"), Output("decision"))
SIZES = (Target("height", ()), Target("weight", ()))
BOTH = (Output("value", 0, 0), Output("value", 0, 1))
WEATHER = (Target("rain", ("0", "1")), Target("sky", ("blue", "grey", "red")))
ALL_OF_WEATHER = (
    *(Output("probability", item, 0) for item in range(2)),
    *(Output("probability", item, 1) for item in range(3)),
    Output("label", 0, 0),
    Output("label", 0, 1),
)
NUMBERS = [0.25, 0.75, 1.0, -2.5]


def made(root: Path, fields: str) -> Contract:
    return load(write_contract(root, SERVICE, ENUM, f"message Response {{ {fields} }}"))


def answer(root: Path, fields: str, targets: tuple[Target, ...], outputs: tuple[Output, ...], row: list[float]) -> Any:
    contract = made(root, fields)
    message = contract.services[0].methods[0].answer
    mapped = AnswerMapping(contract, message, targets, outputs).fields
    filled = GetMessageClass(message)(**message_builder(mapped, outputs)(row))
    return json_format.MessageToDict(filled, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
