"""What IAM asks for a call: its actions, the resources of each, and the values of condition keys.

Most calls are one action of the same name. The others are in the service authorization reference and the
developer guides of their services; where it is not plain, the line says which.
"""

from dataclasses import dataclass

from recording import ROUTES, Call


@dataclass(frozen=True)
class Request:
    """One question to IAM."""

    action: str
    resource: str
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


class Unknown(Exception):
    """A call of which nobody has written down here what it needs."""


def requests(call: Call) -> list[Request]:
    """Everything that must be allowed for the call."""
    if call.service == ROUTES:
        # API Gateway guide, "Control access for invoking an API": arn:…:API/STAGE/METHOD/PATH.
        method, path = call.operation.split(" ")
        return [one("execute-api:Invoke", arn(call, "execute-api", f"{call.line['about']['api']}/$default/{method}{path}"))]
    table = TABLES.get(call.service)
    if table is None or call.operation not in table:
        raise Unknown(call.name)
    return table[call.operation](call)


def one(action: str, resource: str = "*", context: dict | None = None) -> Request:
    return Request(action, resource, tuple(sorted((context or {}).items())))


def arn(call: Call, service: str, resource: str, region: bool = True, account: bool = True) -> str:
    place = (call.region if region else "", call.account if account else "")
    return f"arn:aws:{service}:{place[0]}:{place[1]}:{resource}"


def everything(call: Call) -> list[Request]:
    """For actions that can't be bound to a resource."""
    return [one(call.name)]


def nothing(_call: Call) -> list[Request]:
    """No permission is needed (STS reference: GetCallerIdentity)."""
    return []


# DynamoDB


def table_arn(call: Call, name: str) -> str:
    return name if name.startswith("arn:") else arn(call, "dynamodb", f"table/{name}")


def on_table(call: Call) -> list[Request]:
    return [one(call.name, table_arn(call, call.input["TableName"]))]


# DynamoDB guide, "Using IAM with DynamoDB transactions": the rights of the single operations.
OF_ITEM = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


def transaction(call: Call) -> list[Request]:
    items = [pair for item in call.input["TransactItems"] for pair in item.items() if pair[1] is not None]
    return [one(OF_ITEM[kind], table_arn(call, item["TableName"])) for kind, item in items]


# Parameter Store. Values under the key `aws/ssm` are opened by that key's own policy, which admits the
# account through SSM: no statement of a role is asked.


def parameter_arn(call: Call, name: str) -> str:
    return arn(call, "ssm", f"parameter/{name.lstrip('/')}")


def on_parameter(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, call.input["Name"]))]


def on_parameters(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, name)) for name in call.input["Names"]]


def on_path(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, call.input["Path"]))]


def put_parameter(call: Call) -> list[Request]:
    tags = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in call.input.get("Tags") or []}
    resource = parameter_arn(call, call.input["Name"])
    put = one("ssm:PutParameter", resource, tags)
    # Service authorization reference: tags at creation need the right to tag.
    return [put, one("ssm:AddTagsToResource", resource, tags)] if tags else [put]


# Lambda


def on_function(action: str):
    def asked(call: Call) -> list[Request]:
        name = call.input["FunctionName"]
        named = name if name.startswith("arn:") else arn(call, "lambda", f"function:{name}")
        return [one(action, named)]

    return asked


# S3


def on_bucket(action: str):
    return lambda call: [one(action, f"arn:aws:s3:::{call.input['Bucket']}")]


def on_object(action: str):
    return lambda call: [one(action, f"arn:aws:s3:::{call.input['Bucket']}/{call.input['Key']}")]


def delete_objects(call: Call) -> list[Request]:
    bucket = call.input["Bucket"]
    return [
        one(f"s3:DeleteObject{'Version' if it.get('VersionId') else ''}", f"arn:aws:s3:::{bucket}/{it['Key']}")
        for it in call.input["Delete"]["Objects"]
    ]


# IAM


def on_role(call: Call) -> list[Request]:
    return [one(call.name, arn(call, "iam", f"role/{call.input['RoleName']}", region=False))]


def service_linked_role(call: Call) -> list[Request]:
    service = call.input["AWSServiceName"]
    name = {"spot.amazonaws.com": "AWSServiceRoleForEC2Spot"}[service]
    resource = arn(call, "iam", f"role/aws-service-role/{service}/{name}", region=False)
    return [one(call.name, resource, {"iam:AWSServiceName": service})]


# CloudFormation


def on_stack(call: Call) -> list[Request]:
    name = call.input.get("StackName")
    if name is None:
        return [one(call.name)]
    named = name if name.startswith("arn:") else arn(call, "cloudformation", f"stack/{name}/*")
    return [one(call.name, named)]


# EC2


def run_instances(call: Call) -> list[Request]:
    """EC2 guide, "Resource-level permissions for RunInstances": every resource of the launch is asked for."""
    asked, about = call.input, call.line["about"]
    if about is None:
        # The template is not there: EC2 refuses for that, whatever the policy says.
        return []
    account = call.account
    template = asked["LaunchTemplate"]["LaunchTemplateId"]
    common = {
        "ec2:LaunchTemplate": arn(call, "ec2", f"launch-template/{template}"),
        "ec2:IsLaunchTemplateResource": "true",
        "ec2:Region": call.region,
    }
    profile = about["profile"]
    if profile is not None:
        common["ec2:InstanceProfile"] = arn(call, "iam", f"instance-profile/{profile}", region=False)
    common["ec2:InstanceType"] = asked.get("InstanceType", "")
    common["ec2:InstanceMarketType"] = asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
    tags = {spec["ResourceType"]: spec["Tags"] for spec in asked.get("TagSpecifications", [])}

    def resource(kind: str, named: str, **more) -> Request:
        own = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags.get(kind, [])}
        if own:
            own["aws:TagKeys"] = tuple(tag["Key"] for tag in tags[kind])
        return one("ec2:RunInstances", named, common | own | more)

    def of_account(kind: str, named: str = "*") -> str:
        return f"arn:aws:ec2:{call.region}:{account}:{kind}/{named}"

    of_template = {f"aws:ResourceTag/{key}": value for key, value in about["template_tags"].items()}
    found = [
        resource("launch-template", of_account("launch-template", template), **of_template),
        resource("instance", of_account("instance")),
        resource("volume", of_account("volume")),
        resource("network-interface", of_account("network-interface")),
        # A value that the request gives is not the template's.
        resource(
            "subnet",
            of_account("subnet", asked["SubnetId"]),
            **{"ec2:IsLaunchTemplateResource": "false"},
        ),
    ]
    found += [resource("security-group", of_account("security-group", it)) for it in about["security_groups"]]
    image = about["image"] or ""
    from_parameter = image.startswith("resolve:ssm:")
    image_id = "ami-00000000000000000" if from_parameter else image
    found.append(resource("image", f"arn:aws:ec2:{call.region}::image/{image_id}"))
    if from_parameter:
        # EC2 guide, "Use a Systems Manager parameter instead of an AMI ID": the caller reads it.
        name = image.removeprefix("resolve:ssm:").split(":")[0]
        owner = "" if name.startswith("/aws/service/") else account
        found.append(one("ssm:GetParameters", f"arn:aws:ssm:{call.region}:{owner}:parameter/{name.lstrip('/')}"))
    if "spot-instances-request" in tags:
        # EC2 guide, "Work with Spot Instances": asked for only where the request tags it.
        found.append(resource("spot-instances-request", of_account("spot-instances-request")))
    for kind in tags:
        own = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags[kind]}
        context = {"ec2:CreateAction": "RunInstances", "ec2:Region": call.region} | own
        found.append(one("ec2:CreateTags", of_account(kind), context))
    if profile is not None:
        # The lab's profiles have the names of their roles, as our templates make them.
        role = arn(call, "iam", f"role/{profile}", region=False)
        found.append(one("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))
    return found


def on_instances(call: Call) -> list[Request]:
    known = (call.line["about"] or {}).get("instances", {})
    found = []
    for instance in call.input["InstanceIds"]:
        # Of an instance that is not there, EC2 says so before it asks the policy.
        if instance in known:
            tags = {f"aws:ResourceTag/{key}": value for key, value in known[instance].items()}
            found.append(one(call.name, arn(call, "ec2", f"instance/{instance}"), tags))
    return found


TABLES = {
    "cloudformation": {
        "ContinueUpdateRollback": on_stack,
        "CreateChangeSet": on_stack,
        "DeleteChangeSet": on_stack,
        "DeleteStack": on_stack,
        "DescribeChangeSet": on_stack,
        "DescribeStackEvents": on_stack,
        "DescribeStacks": on_stack,
        "ExecuteChangeSet": on_stack,
        "GetTemplate": on_stack,
        "ListStackResources": on_stack,
        "UpdateTerminationProtection": on_stack,
    },
    "dynamodb": {
        "DeleteItem": on_table,
        "GetItem": on_table,
        "PutItem": on_table,
        "Query": on_table,
        "TransactWriteItems": transaction,
        "UpdateItem": on_table,
    },
    "ec2": {
        "DescribeInstances": everything,
        "DescribeLaunchTemplates": everything,
        "DescribeSecurityGroups": everything,
        "DescribeSubnets": everything,
        "DescribeVpcs": everything,
        "RunInstances": run_instances,
        "TerminateInstances": on_instances,
    },
    "iam": {
        "CreateServiceLinkedRole": service_linked_role,
        "GetRole": on_role,
        "ListRoles": everything,
    },
    "lambda": {
        "GetFunctionConfiguration": on_function("lambda:GetFunctionConfiguration"),
        "Invoke": on_function("lambda:InvokeFunction"),
    },
    "s3": {
        "DeleteObjects": delete_objects,
        "HeadBucket": on_bucket("s3:ListBucket"),
        "HeadObject": on_object("s3:GetObject"),
        "ListObjectVersions": on_bucket("s3:ListBucketVersions"),
        "ListObjectsV2": on_bucket("s3:ListBucket"),
        "PutObject": on_object("s3:PutObject"),
    },
    "ssm": {
        "DeleteParameters": on_parameters,
        "DescribeParameters": everything,
        "GetParameter": on_parameter,
        "GetParametersByPath": on_path,
        "PutParameter": put_parameter,
    },
    "sts": {"GetCallerIdentity": nothing},
}
