"""protovalidate, for the modules that apply rules, and a check that it works with the installed protobuf-py.

The two packages are young: protovalidate 2.0 cannot be imported beside protobuf-py 0.7, nor 2.1 beside 0.5.
"""

import functools
import struct
from importlib.metadata import version

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from foretell_contract.errors import SetupError

_LTE_ONE = b"\xba\x48\x0b\x12\x09\x19" + struct.pack("<d", 1.0)
"""`(buf.validate.field).double.lte = 1` as the bytes of a field's options, so that no contract is compiled for the check."""


class RuleEngineError(SetupError):
    """The installed protovalidate and protobuf-py do not work together."""

    def __init__(self, reason: object) -> None:
        installed = f"protovalidate {version('protovalidate')} and protobuf-py {version('protobuf-py')}"
        super().__init__(f"{installed} cannot check rules together ({reason}): pip install -U protovalidate protobuf-py")


try:
    from protovalidate import CompilationError, EvaluationError, Validator, Violation
except ImportError as error:
    raise RuleEngineError(error) from error


@functools.cache
def check_rule_engine() -> None:
    """Validate a value within a bound and one beyond it, once in a process. Raises RuleEngineError for a wrong result."""
    try:
        within, beyond = (_broken_rules(value) for value in (0.5, 1.5))
    except Exception as error:
        raise RuleEngineError(error) from error
    if (within, beyond) != ([], ["double.lte"]):
        raise RuleEngineError(f"0.5 breaks {within} and 1.5 breaks {beyond}, where the bound is 1")


def _broken_rules(value: float) -> list[str]:
    file = FileDescriptorProto(name="foretell/rule_engine.proto", package="foretell.rule_engine", syntax="proto3")
    field = file.message_type.add(name="Bounded").field.add(name="value", number=1, type=FieldDescriptorProto.TYPE_DOUBLE)
    field.options.MergeFromString(_LTE_ONE)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    message = GetMessageClass(pool.FindMessageTypeByName("foretell.rule_engine.Bounded"))(value=value)
    return [violation.proto.rule_id for violation in Validator().collect_violations(message)]


__all__ = ["CompilationError", "EvaluationError", "RuleEngineError", "Validator", "Violation", "check_rule_engine"]
