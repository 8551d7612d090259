"""Recorded calls, taken apart by the service's own model.

A recording is a file of JSON lines that the lab writes (`lab/src/recording.rs`). Here each line becomes a
`Call`: which operation of which service, with which input. Whatever the model does not know is a fault of
the call, kept beside it.
"""

import json
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

import botocore.session

SESSION = botocore.session.Session()
SCOPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)
# What signatures call a service, where its model has another name.
MODEL_OF = {"apigateway": "apigatewayv2"}
# API Gateway's own data plane: a route of ours, which is in no model.
ROUTES = "execute-api"


class Broken(Exception):
    """The recording itself can't be read: nothing can be said of the call."""


@dataclass
class Call:
    """One call."""

    line: dict
    scope: dict
    service: str
    operation: str
    input: dict
    faults: list[str] = field(default_factory=list)

    @property
    def caller(self) -> str:
        return self.line["caller"]

    @property
    def account(self) -> str:
        return self.line["account"]

    @property
    def region(self) -> str:
        return self.scope["region"]

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def __str__(self) -> str:
        return f"{self.caller} {self.name}"


def lines_of(folders: list[Path]) -> list[dict]:
    """Every line of every recording below these folders."""
    files = sorted(file for folder in folders for file in folder.rglob("*.jsonl"))
    return [json.loads(line) | {"recording": str(file)} for file in files for line in file.read_text().splitlines()]


def calls_of(lines: list[dict]) -> list[Call]:
    """The calls of whatever is deployed or deploys; what tests do themselves is left out."""
    return [call_of(line) for line in lines if line["caller"] != "witness"]


def call_of(line: dict) -> Call:
    scope = SCOPE.match(line["headers"].get("authorization", ""))
    if not scope:
        raise Broken(f"no signature: {line['method']} {line['uri']}")
    scope = scope.groupdict()
    if scope["service"] == ROUTES:
        return Call(line, scope, ROUTES, f"{line['method']} {path_of(line)}", {})
    service = MODEL_OF.get(scope["service"], scope["service"])
    model = SESSION.get_service_model(service)
    read = {
        "json": read_json,
        "query": read_query,
        "ec2": read_query,
        "rest-json": read_rest,
        "rest-xml": read_rest,
    }[model.resolved_protocol]
    operation, read_input, faults = read(model, line)
    return Call(line, scope, service, operation, read_input, faults)


def path_of(line: dict) -> str:
    return line["uri"].split("?")[0]


def body_of(line: dict) -> str:
    if line["body"] is None:
        raise Broken(f"the body is not kept: {line['method']} {line['uri']}")
    return line["body"]


def read_json(model, line):
    prefix, _, operation = line["headers"]["x-amz-target"].rpartition(".")
    faults = []
    if prefix != model.metadata["targetPrefix"]:
        faults.append(f"the target {prefix} is not {model.metadata['targetPrefix']}")
    if operation not in model.operation_names:
        return operation, {}, [*faults, "no such operation"]
    expected = "application/x-amz-json-" + model.metadata["jsonVersion"]
    if line["headers"].get("content-type") != expected:
        faults.append(f"the content type is not {expected}")
    return operation, json.loads(body_of(line)), faults


def read_query(model, line):
    pairs = urllib.parse.parse_qsl(body_of(line), keep_blank_values=True, strict_parsing=True)
    form = dict(pairs)
    faults = [] if len(form) == len(pairs) else ["a parameter is given twice"]
    operation = form.pop("Action")
    version = form.pop("Version", None)
    if version != model.api_version:
        faults.append(f"version {version} is not {model.api_version}")
    if operation not in model.operation_names:
        return operation, {}, [*faults, "no such operation"]
    shape = model.operation_model(operation).input_shape
    form_input = {}
    if shape is not None:
        form_input = from_form(shape, form, model.resolved_protocol == "ec2", "") or {}
    return operation, form_input, faults + [f"unknown parameter {name}" for name in form]


def from_form(shape, form: dict, is_ec2: bool, prefix: str):
    """The value at `prefix`, whose parameters are taken out of `form`; None where there are none."""
    if shape.type_name == "structure":
        members = {
            name: from_form(member, form, is_ec2, prefix + form_name(name, member, is_ec2) + ".")
            for name, member in shape.members.items()
        }
        return {name: value for name, value in members.items() if value is not None} or None
    if shape.type_name == "list":
        if not is_ec2 and not shape.serialization.get("flattened"):
            # An empty list is sent as a parameter without a value.
            if form.get(prefix[:-1]) == "":
                form.pop(prefix[:-1])
                return []
            prefix += shape.member.serialization.get("name", "member") + "."
        items = []
        while (item := from_form(shape.member, form, is_ec2, f"{prefix}{len(items) + 1}.")) is not None:
            items.append(item)
        return items or None
    text = form.pop(prefix[:-1], None)
    return None if text is None else scalar(shape, text)


def form_name(name: str, member, is_ec2: bool) -> str:
    own = member.serialization
    if is_ec2:
        told = own.get("name", name)
        return own.get("queryName") or told[0].upper() + told[1:]
    if member.type_name == "list" and own.get("flattened"):
        return member.member.serialization.get("name", own.get("name", name))
    return own.get("name", name)


def scalar(shape, text: str):
    """`text` as the model's type, or itself where it is none: the validator says so."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
    except ValueError:
        return text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def read_rest(model, line):
    uri = urllib.parse.urlsplit(line["uri"])
    query = urllib.parse.parse_qsl(uri.query, keep_blank_values=True)
    found = [
        (pattern_rank(operation), operation, match)
        for operation in map(model.operation_model, model.operation_names)
        if (match := matches(operation, line["method"], uri.path, dict(query), line["headers"]))
    ]
    if not found:
        return f"{line['method']} {uri.path}", {}, ["no such operation"]
    _, operation, labels = max(found, key=lambda it: it[0])
    return operation.name, *read_rest_input(operation, line, labels, query)


def uri_of(operation):
    path, _, query = operation.http["requestUri"].partition("?")
    return path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


def pattern_rank(operation):
    path, query = uri_of(operation)
    required = operation.input_shape.required_members if operation.input_shape else []
    return (len(query), path.count("/"), path.count("{"), len(required))


def matches(operation, method: str, path: str, query: dict, headers: dict):
    """The labels of the path, if the request can be of this operation."""
    wanted_path, wanted_query = uri_of(operation)
    if operation.http["method"] != method:
        return None
    if any(query.get(name) != value for name, value in wanted_query.items()):
        return None
    pattern = ""
    for part in re.split(r"(\{[^}]+\})", wanted_path):
        if part.startswith("{"):
            greedy = part.endswith("+}")
            name = part.strip("{}+")
            pattern += f"(?P<{name.replace('-', '__')}>{'.+' if greedy else '[^/]+'})"
        else:
            pattern += re.escape(part)
    match = re.fullmatch(pattern.rstrip("/") + "/?", path)
    if not match or not has_required(operation, query, headers):
        return None
    return {name.replace("__", "-"): urllib.parse.unquote(value) for name, value in match.groupdict().items()} or {
        "": ""
    }


def has_required(operation, query: dict, headers: dict) -> bool:
    """Operations of S3 differ in what the query and headers must have."""
    shape = operation.input_shape
    for name in shape.required_members if shape else []:
        own = shape.members[name].serialization
        place = {"querystring": query, "header": headers}.get(own.get("location"))
        if place is not None and own["name"] not in place and own["name"].lower() not in place:
            return False
    # `x-id` is how the SDK of Smithy tells operations apart; no service reads it.
    return query.get("x-id", operation.name) == operation.name


def read_rest_input(operation, line: dict, labels: dict, query: list):
    shape = operation.input_shape
    members = shape.members if shape else {}
    rest_input, faults = {}, []
    query = dict(query)
    query.pop("x-id", None)
    for name in uri_of(operation)[1]:
        query.pop(name, None)
    body_members = {}
    payload = shape.serialization.get("payload") if shape else None
    for name, member in members.items():
        own = member.serialization
        location, told = own.get("location"), own.get("name", name)
        if location == "uri":
            rest_input[name] = labels[told]
        elif location == "querystring" and told in query:
            rest_input[name] = scalar(member, query.pop(told))
        elif location == "header" and told.lower() in line["headers"]:
            rest_input[name] = scalar(member, line["headers"][told.lower()])
        elif location is None and name != payload:
            body_members[name] = member
    faults += [f"unknown query parameter {name}" for name in query]
    unknown_headers = [
        name
        for name in line["headers"]
        if name.startswith("x-amz-") and name not in SIGNING_HEADERS and name not in header_names(members)
    ]
    faults += [f"unknown header {name}" for name in unknown_headers]
    if payload and members[payload].type_name == "blob":
        if line["body_bytes"]:
            rest_input[payload] = b"x" * min(line["body_bytes"], 1)
    elif payload and line["body_bytes"]:
        value, more = from_text(members[payload], body_of(line), operation)
        rest_input[payload] = value
        faults += more
    elif body_members and line["body_bytes"]:
        rest_input |= json.loads(body_of(line))
    elif line["body_bytes"]:
        faults.append("a body where none belongs")
    return rest_input, faults


# Of the signature, and what SDKs tell of themselves.
SIGNING_HEADERS = {
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
    "x-amz-checksum-crc32",
}


def header_names(members) -> set[str]:
    serialization = [member.serialization for member in members.values()]
    return {own["name"].lower() for own in serialization if own.get("location") == "header"}


def from_text(shape, text: str, operation):
    if operation.service_model.resolved_protocol == "rest-json":
        return json.loads(text), []
    root = ElementTree.fromstring(text)
    faults = []
    if local(root) != shape.serialization.get("name", shape.name):
        faults.append(f"the document is a {local(root)}")
    return from_xml(shape, root, faults), faults


def local(element) -> str:
    return element.tag.rpartition("}")[2]


def from_xml(shape, element, faults: list[str]):
    if shape.type_name == "structure":
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        value = {}
        for child in element:
            if local(child) not in names:
                faults.append(f"unknown element {local(child)}")
                continue
            name = names[local(child)]
            member = shape.members[name]
            if member.type_name == "list" and member.serialization.get("flattened"):
                value.setdefault(name, []).append(from_xml(member.member, child, faults))
            else:
                value[name] = from_xml(member, child, faults)
        return value
    if shape.type_name == "list":
        return [from_xml(shape.member, child, faults) for child in element]
    return scalar(shape, element.text or "")
