"""Faults that are planted to see whether the judges find them. Each takes recorded calls or rendered
policies, spoils them, and says which words the judge must use then."""

import copy
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, replace

import shapes
import signatures
from policies import Role
from recording import Call, call_of


class Unnoticed(Exception):
    """A judge that passes what it must not."""


@dataclass(frozen=True)
class SpoiledRequest:
    """A fault of one request: a call that it can be planted in, and how."""

    says: str
    fits: Callable[[Call], bool]
    spoil: Callable[[dict], None]
    must_say: str


def operation(name: str) -> Callable[[Call], bool]:
    return lambda call: call.name == name


def form(**changes: str) -> Callable[[dict], None]:
    def spoil(line: dict) -> None:
        pairs = dict(urllib.parse.parse_qsl(line["body"])) | {key.replace("__", "."): it for key, it in changes.items()}
        line["body"] = urllib.parse.urlencode(pairs)

    return spoil


def document(**changes) -> Callable[[dict], None]:
    return lambda line: line.update(body=json.dumps(json.loads(line["body"]) | changes))


def header(name: str, value: str) -> Callable[[dict], None]:
    return lambda line: line["headers"].update({name: value})


def uri(more: str) -> Callable[[dict], None]:
    return lambda line: line.update(uri=line["uri"] + more)


REQUESTS = [
    SpoiledRequest(
        "a parameter that EC2 does not know",
        operation("ec2:RunInstances"),
        form(SubnetID="subnet-1"),
        "unknown parameter SubnetID",
    ),
    SpoiledRequest(
        "a market that there is not",
        operation("ec2:RunInstances"),
        form(InstanceMarketOptions__MarketType="cheap"),
        "'cheap' is none of the enumeration",
    ),
    SpoiledRequest(
        "a count that is no number",
        operation("ec2:RunInstances"),
        form(MaxCount="many"),
        "Invalid type for parameter MaxCount",
    ),
    SpoiledRequest(
        "a member that DynamoDB does not know",
        operation("dynamodb:Query"),
        document(ConsistentlyRead=True),
        "ConsistentlyRead: unknown member",
    ),
    SpoiledRequest(
        "a name that is too long",
        operation("ssm:GetParametersByPath"),
        document(Path="/" + "x" * 3000),
        "Path: length 3001",
    ),
    SpoiledRequest(
        "a required member that is missing",
        operation("ssm:GetParametersByPath"),
        lambda line: line.update(body="{}"),
        "Missing required parameter",
    ),
    SpoiledRequest(
        "a stack's name that fits no pattern",
        operation("cloudformation:ExecuteChangeSet"),
        form(StackName="-x y-"),
        "does not match",
    ),
    SpoiledRequest(
        "an invocation of a kind that there is not",
        operation("lambda:Invoke"),
        header("x-amz-invocation-type", "Later"),
        "'Later' is none of the enumeration",
    ),
    SpoiledRequest(
        "a header that S3 does not know",
        operation("s3:PutObject"),
        header("x-amz-acll", "private"),
        "unknown header x-amz-acll",
    ),
    SpoiledRequest(
        "a query parameter that S3 does not know",
        operation("s3:PutObject"),
        uri("&version=1"),
        "unknown query parameter version",
    ),
]
SIGNATURES = [
    SpoiledRequest(
        "another body",
        operation("ec2:RunInstances"),
        lambda line: line.update(body_sha256="0" * 64),
        "signs the same request otherwise",
    ),
    SpoiledRequest(
        "another host",
        operation("dynamodb:Query"),
        header("host", "elsewhere"),
        "signs the same request otherwise",
    ),
    SpoiledRequest(
        "a header that is not signed",
        operation("execute-api:POST /runner"),
        header("x-amz-more", "1"),
        "x-amz-more is not signed",
    ),
    SpoiledRequest(
        "a body that its digest does not fit",
        operation("s3:PutObject"),
        header("x-amz-content-sha256", "0" * 64),
        "not what its digest says",
    ),
]
# What machines alone send.
MACHINES_SHAPES = [
    SpoiledRequest(
        "last words without a stream",
        operation("logs:PutLogEvents"),
        lambda line: line.update(body='{"logGroupName": "/x", "logEvents": []}'),
        "Missing required parameter",
    ),
]
MACHINES_SIGNATURES = [
    SpoiledRequest(
        "other last words",
        operation("logs:PutLogEvents"),
        lambda line: line.update(body_sha256="0" * 64),
        "signs the same request otherwise",
    ),
    next(fault for fault in SIGNATURES if fault.says == "a header that is not signed"),
]


def spoil_requests(calls: list[Call]) -> int:
    """Every fault of a request is found, or an error; how many there were."""
    return spoil(calls, REQUESTS, SIGNATURES)


def spoil_machines(calls: list[Call]) -> int:
    """The same for what machines send."""
    return spoil(calls, MACHINES_SHAPES, MACHINES_SIGNATURES)


def spoil(calls: list[Call], of_shapes: list[SpoiledRequest], of_signatures: list[SpoiledRequest]) -> int:
    for faults, judge in ((of_shapes, shapes.judge), (of_signatures, signatures.judge)):
        for fault in faults:
            call = first(calls, fault.fits, fault.says)
            if judge(call):
                raise Unnoticed(f"{fault.says}: the call is not sound before it is spoiled")
            line = copy.deepcopy(call.line)
            fault.spoil(line)
            must_find(fault.says, judge(call_of(line)), fault.must_say)
    return len(of_shapes) + len(of_signatures)


def first(calls: list[Call], fits, says: str) -> Call:
    for call in calls:
        if fits(call):
            return call
    raise Unnoticed(f"{says}: no recorded call to plant it in")


def must_find(says: str, found: list[str], must_say: str) -> None:
    if not any(must_say in it for it in found):
        raise Unnoticed(f"{says}: the judge does not say `{must_say}` but {found or 'nothing'}")


# Faults of rights: of a role's statements, and of the launches that are judged by it.


@dataclass(frozen=True)
class SpoiledRights:
    """A fault of the policies of a role, or of the calls that are judged by them."""

    says: str
    spoil: Callable[[list[dict]], None]
    must_say: str
    spoil_call: Callable[[Call], Call] = lambda call: call
    role: str = "FunctionRole"


def statement(documents: list[dict], sid: str) -> dict:
    return next(it for document in documents for it in document["Statement"] if it.get("Sid") == sid)


def change(sid: str, **changes) -> Callable[[list[dict]], None]:
    return lambda documents: statement(documents, sid).update(changes)


def drop(sid: str) -> Callable[[list[dict]], None]:
    def spoil(documents: list[dict]) -> None:
        for document in documents:
            document["Statement"] = [it for it in document["Statement"] if it.get("Sid") != sid]

    return spoil


def add(**more) -> Callable[[list[dict]], None]:
    return lambda documents: documents[0]["Statement"].append({"Effect": "Allow"} | more)


def allow_spot_request(documents: list[dict]) -> None:
    # As it was once: no Spot instance could ever have been launched.
    for sid in ("WhatComesWithIt", "TagsAtLaunchOnly"):
        resources = statement(documents, sid)["Resource"]
        volume = next(it for it in resources if it.endswith(":volume/*"))
        resources.append(volume.replace("volume/*", "spot-instances-request/*"))


def tag_spot_request(call: Call) -> Call:
    if call.operation != "RunInstances" or "InstanceMarketOptions" not in call.input:
        return call
    specifications = call.input["TagSpecifications"]
    of_spot = specifications[0] | {"ResourceType": "spot-instances-request"}
    return replace(call, input=call.input | {"TagSpecifications": [*specifications, of_spot]})


RIGHTS = [
    SpoiledRights(
        "the Spot request is tagged, and its statement asks for a key that AWS does not give",
        allow_spot_request,
        "spot-instances-request/*: ImplicitlyDenied\n"
        "    near: launch/WhatComesWithIt (Allow) lacks or fails ec2:LaunchTemplate",
        tag_spot_request,
    ),
    SpoiledRights(
        "the same statement, though nothing is tagged",
        allow_spot_request,
        "launch/WhatComesWithIt allows ec2:RunInstances on arn:aws:ec2:eu-west-1:111111111111:spot-instances-request/* "
        "by ec2:LaunchTemplate, which AWS never gives",
    ),
    SpoiledRights("the nudge is not allowed", drop("Nudge"), "needs lambda:InvokeFunction"),
    SpoiledRights(
        "the ledger of another deployment",
        change("Ledger", Resource="arn:aws:dynamodb:*:*:table/other"),
        "remember/Ledger (Allow) is for other resources",
    ),
    SpoiledRights(
        "a condition on what is not yet tagged",
        change("TagsAtLaunchOnly", Condition={"StringEquals": {"aws:ResourceTag/a": "b"}}),
        "lacks or fails aws:ResourceTag/a",
    ),
    SpoiledRights(
        "profiles of another deployment",
        change("OurProfiles", Condition={"ArnLike": {"ec2:InstanceProfile": "arn:aws:iam::*:instance-profile/other"}}),
        "lacks or fails ec2:InstanceProfile",
    ),
    SpoiledRights(
        "a denial that is meant for others",
        add(Sid="Closed", Effect="Deny", Action="ec2:Describe*", Resource="*"),
        "ExplicitlyDenied",
    ),
    SpoiledRights(
        "whoever deploys may not read a stack's events",
        change("CommandsStacks", Action=["cloudformation:CreateChangeSet"]),
        "operator: cloudformation:DescribeStackEvents needs",
        role="People",
    ),
    SpoiledRights(
        "a right that nobody uses",
        add(Sid="More", Action="s3:GetObject", Resource="*"),
        "no run uses s3:GetObject",
    ),
]


def spoil_role(role: Role, fault: SpoiledRights) -> Role:
    """The role with the fault."""
    spoiled = copy.deepcopy(role.policies)
    fault.spoil([document for _, document in spoiled])
    return replace(role, policies=spoiled)
