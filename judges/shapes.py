"""Judge of requests: is each what the service's own model says that it takes?

botocore's validator knows types, required members and minimal lengths. Unknown members, enumerations,
greatest lengths and patterns it leaves to the service; they are judged here.
"""

import re

import botocore.validate

from recording import ROUTES, SESSION, Call

# Java's patterns, as far as the models that we meet have them.
JAVA = [
    (r"\p{L}", r"\w"),
    (r"\p{Z}", r"\s"),
    (r"\p{N}", r"\d"),
    ("[[:alnum:]]", "[A-Za-z0-9]"),
]


def judge(call: Call) -> list[str]:
    """What is wrong with the request."""
    if call.faults or call.service == ROUTES:
        return call.faults
    shape = SESSION.get_service_model(call.service).operation_model(call.operation).input_shape
    if shape is None:
        return [] if not call.input else ["an input where none belongs"]
    report = botocore.validate.ParamValidator().validate(call.input, shape)
    faults = report.generate_report().splitlines() if report.has_errors() else []
    examine(shape, call.input, call.operation, faults)
    return faults


def examine(shape, value, path: str, faults: list[str]) -> None:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            # A null is as good as nothing in JSON.
            if inner is None:
                continue
            if name not in shape.members:
                faults.append(f"{path}.{name}: unknown member")
            else:
                examine(shape.members[name], inner, f"{path}.{name}", faults)
    elif shape.type_name == "list" and isinstance(value, list):
        examine_length(shape, len(value), path, faults)
        for inner in value:
            examine(shape.member, inner, f"{path}[]", faults)
    elif shape.type_name == "map" and isinstance(value, dict):
        examine_length(shape, len(value), path, faults)
        for key, inner in value.items():
            examine(shape.key, key, f"{path}{{}}", faults)
            examine(shape.value, inner, f"{path}.{key}", faults)
    elif shape.type_name == "string" and isinstance(value, str):
        examine_text(shape, value, path, faults)
    elif shape.type_name in ("integer", "long") and isinstance(value, int):
        examine_range(shape, value, path, faults)


def examine_length(shape, length: int, path: str, faults: list[str]) -> None:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if length < least or (most is not None and length > most):
        faults.append(f"{path}: length {length} is not within {least} and {most}")


def examine_range(shape, value: int, path: str, faults: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and value < least) or (most is not None and value > most):
        faults.append(f"{path}: {value} is not within {least} and {most}")


def examine_text(shape, value: str, path: str, faults: list[str]) -> None:
    if shape.enum and value not in shape.enum:
        faults.append(f"{path}: {value!r} is none of the enumeration")
    examine_length(shape, len(value), path, faults)
    pattern = shape.metadata.get("pattern")
    if pattern:
        for java, python in JAVA:
            pattern = pattern.replace(java, python)
        # Of the whole value, as services match them, though not every model says so.
        if not re.fullmatch(pattern, value):
            faults.append(f"{path}: {value[:80]!r} does not match {shape.metadata['pattern']}")
