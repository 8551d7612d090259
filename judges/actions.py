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
        route = f"{call.line['about']['api']}/$default/{method}{path}"
        return [one("execute-api:Invoke", arn(call, "execute-api", route))]
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


def on_arn(action: str, member: str):
    """For calls that name their resource by its ARN."""
    return lambda call: [one(action, call.input[member])]


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
    if name.startswith("arn:"):
        return name
    # AWS's own parameters are in no account.
    return arn(call, "ssm", f"parameter/{name.lstrip('/')}", account=not name.startswith("/aws/service/"))


def on_parameter(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, call.input["Name"]))]


def on_parameters(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, name)) for name in call.input["Names"]]


def on_path(call: Call) -> list[Request]:
    return [one(call.name, parameter_arn(call, call.input["Path"]))]


def put_parameter(call: Call) -> list[Request]:
    tags = tagging(call.input.get("Tags") or [])
    resource = parameter_arn(call, call.input["Name"])
    asked = [one("ssm:PutParameter", resource, tags)]
    if tags:
        # Service authorization reference: tags at creation need the right to tag.
        asked.append(one("ssm:AddTagsToResource", resource, tags))
    if call.input.get("DataType") == "aws:ec2:image":
        # Systems Manager guide, "Native parameter support for Amazon Machine Image IDs".
        asked.append(one("ec2:DescribeImages", "*"))
    return asked


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


def create_role(call: Call) -> list[Request]:
    requests = on_role(call)
    if call.input.get("Tags"):
        requests.append(one("iam:TagRole", arn(call, "iam", f"role/{call.input['RoleName']}", region=False)))
    return requests


def service_linked_role(call: Call) -> list[Request]:
    service = call.input["AWSServiceName"]
    name = {"spot.amazonaws.com": "AWSServiceRoleForEC2Spot"}[service]
    resource = arn(call, "iam", f"role/aws-service-role/{service}/{name}", region=False)
    return [one(call.name, resource, {"iam:AWSServiceName": service})]


def on_profile(call: Call) -> list[Request]:
    return [one(call.name, arn(call, "iam", f"instance-profile/{call.input['InstanceProfileName']}", region=False))]


# API Gateway: the actions are the methods of HTTP, the resources its paths.


def on_apis(call: Call) -> list[Request]:
    return [one("apigateway:GET", arn(call, "apigateway", "/apis", account=False))]


def on_api(action: str):
    return lambda call: [one(action, arn(call, "apigateway", f"/apis/{call.input['ApiId']}", account=False))]


# Logs


def on_log_group(call: Call) -> list[Request]:
    return [one(call.name, arn(call, "logs", f"log-group:{call.input['logGroupName']}"))]


def on_log_stream(call: Call) -> list[Request]:
    """Logs reference: PutLogEvents is bound to the log stream."""
    stream = f"log-group:{call.input['logGroupName']}:log-stream:{call.input['logStreamName']}"
    return [one(call.name, arn(call, "logs", stream))]


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
    if "LaunchTemplate" not in asked:
        about = {
            "template_tags": {},
            "image": asked["ImageId"],
            "profile": asked.get("IamInstanceProfile", {}).get("Name"),
            "security_groups": asked.get("SecurityGroupIds", []),
        }
    if about is None:
        # The template is not there: EC2 refuses for that, whatever the policy says.
        return []

    def named(kind: str, name: str = "*") -> str:
        return arn(call, "ec2", f"{kind}/{name}", account=kind != "image")

    template = None
    context = {
        "ec2:InstanceMarketType": asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"),
        "ec2:InstanceType": asked["InstanceType"],
        "ec2:Region": call.region,
    }
    if "LaunchTemplate" in asked:
        template = named("launch-template", asked["LaunchTemplate"]["LaunchTemplateId"])
        context |= {"ec2:IsLaunchTemplateResource": "true", "ec2:LaunchTemplate": template}
    profile = about["profile"]
    if profile is not None:
        context["ec2:InstanceProfile"] = arn(call, "iam", f"instance-profile/{profile}", region=False)
    image = asked.get("ImageId", about["image"])
    # What the request names is not the template's.
    own = {"ec2:IsLaunchTemplateResource": "false"} if template else {}
    parameter = image.removeprefix("resolve:ssm:").split(":")[0] if image.startswith("resolve:ssm:") else None

    # Beside the context of all: what is known of each.
    of_template = {f"aws:ResourceTag/{key}": value for key, value in about["template_tags"].items()}
    resources = [
        *([("launch-template", template, of_template)] if template else []),
        ("instance", named("instance"), {}),
        ("volume", named("volume"), {}),
        ("network-interface", named("network-interface"), {}),
        ("image", named("image", "ami-0" if parameter else image), own if "ImageId" in asked else {}),
        ("subnet", named("subnet", asked["SubnetId"]), own),
        *(("security-group", named("security-group", group), {}) for group in about["security_groups"]),
    ]
    tags = {it["ResourceType"]: it["Tags"] for it in asked.get("TagSpecifications", [])}
    # EC2 guide, "Work with Spot Instances": it is asked for only where the request tags it.
    spot = "spot-instances-request"
    if spot in tags:
        resources.append((spot, named(spot), {}))
    found = [
        one("ec2:RunInstances", resource, context | tagging(tags.get(kind, [])) | more)
        for kind, resource, more in resources
    ]
    creation = {"ec2:CreateAction": "RunInstances", "ec2:Region": call.region}
    found += [one("ec2:CreateTags", named(kind), creation | tagging(its)) for kind, its in tags.items()]
    if parameter:
        # EC2 guide, "Use a Systems Manager parameter instead of an AMI ID": the caller reads it.
        found.append(one("ssm:GetParameters", parameter_arn(call, parameter)))
    if profile is not None:
        # Our templates give a profile and its role the same name.
        role = arn(call, "iam", f"role/{profile}", region=False)
        found.append(one("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))
    return found


def tagging(tags: list[dict]) -> dict:
    """What a policy may ask of the tags in a request."""
    values = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return values | {"aws:TagKeys": tuple(tag["Key"] for tag in tags)} if tags else {}


def on_instances(call: Call) -> list[Request]:
    tags = call.line["about"]["instances"]
    # Of one that is not there nothing can be said: its tags are not known.
    return [
        one(
            call.name,
            arn(call, "ec2", f"instance/{instance}"),
            {f"aws:ResourceTag/{key}": value for key, value in tags[instance].items()},
        )
        for instance in call.input["InstanceIds"]
        if instance in tags
    ]


# Images and snapshots have no account in their ARN (service authorization reference).


def image_arn(call: Call, resource: str) -> str:
    return arn(call, "ec2", resource, account=False)


def with_tags(tags: dict) -> dict:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def on_instance(call: Call) -> list[Request]:
    """Of one that is not there nothing can be said: its tags are not known."""
    instance, tags = call.input["InstanceId"], call.line["about"]["instances"]
    if instance not in tags:
        return []
    return [one(call.name, arn(call, "ec2", f"instance/{instance}"), with_tags(tags[instance]))]


def create_image(call: Call) -> list[Request]:
    """The instance, and what comes of it, each with the tags that it gets."""
    tags = {it["ResourceType"]: it["Tags"] for it in call.input.get("TagSpecifications", [])}
    creation = {"ec2:CreateAction": "CreateImage"}
    made = [(kind, tagging(tags.get(kind, []))) for kind in ("image", "snapshot")]
    found = on_instance(call)
    found += [one("ec2:CreateImage", image_arn(call, f"{kind}/*"), asked) for kind, asked in made]
    found += [one("ec2:CreateTags", image_arn(call, f"{kind}/*"), creation | asked) for kind, asked in made if asked]
    return found


def on_tagged(kind: str, member: str):
    def asked(call: Call) -> list[Request]:
        name, tags = call.input[member], call.line["about"]["tags"]
        # One that is not there has no tags that a policy could ask for.
        return [one(call.name, image_arn(call, f"{kind}/{name}"), with_tags(tags[name]))] if name in tags else []

    return asked


def deregister_image(call: Call) -> list[Request]:
    found = on_tagged("image", "ImageId")(call)
    if call.input.get("DeleteAssociatedSnapshots"):
        # EC2 guide, "Deregister an AMI": the snapshots are deleted with the caller's rights.
        tags = call.line["about"]["tags"]
        found += [
            one("ec2:DeleteSnapshot", image_arn(call, f"snapshot/{name}"), with_tags(tags[name]))
            for name in tags
            if name.startswith("snap-")
        ]
    return found


def create_tags(call: Call) -> list[Request]:
    tags, new = call.line["about"]["tags"], tagging(call.input["Tags"])
    return [
        one("ec2:CreateTags", image_arn(call, f"image/{name}"), new | with_tags(tags[name]))
        for name in call.input["Resources"]
        if name in tags
    ]


TABLES = {
    "apigatewayv2": {
        "DeleteApi": on_api("apigateway:DELETE"),
        "GetApi": on_api("apigateway:GET"),
        "GetApis": on_apis,
    },
    "cloudformation": {
        "ContinueUpdateRollback": on_stack,
        "CreateChangeSet": on_stack,
        "DeleteChangeSet": on_stack,
        "DeleteStack": on_stack,
        "DescribeChangeSet": on_stack,
        "DescribeEvents": on_stack,
        "DescribeStackEvents": on_stack,
        "DescribeStacks": on_stack,
        "ExecuteChangeSet": on_stack,
        "GetTemplate": on_stack,
        "ListStackResources": on_stack,
        "UpdateTerminationProtection": on_stack,
    },
    "dynamodb": {
        "DeleteItem": on_table,
        "DeleteTable": on_table,
        "DescribeTable": on_table,
        "GetItem": on_table,
        "ListTagsOfResource": on_arn("dynamodb:ListTagsOfResource", "ResourceArn"),
        "PutItem": on_table,
        "Query": on_table,
        "TransactWriteItems": transaction,
        "UpdateItem": on_table,
        "UpdateTable": on_table,
    },
    "ec2": {
        "CreateImage": create_image,
        "CreateTags": create_tags,
        "DeleteSnapshot": on_tagged("snapshot", "SnapshotId"),
        "DeregisterImage": deregister_image,
        "DescribeImages": everything,
        "DescribeInstances": everything,
        "DescribeLaunchTemplates": everything,
        "DescribeSecurityGroups": everything,
        "DescribeSnapshots": everything,
        "DescribeSubnets": everything,
        "DescribeVpcs": everything,
        "GetConsoleOutput": on_instance,
        "GetEbsDefaultKmsKeyId": everything,
        "GetEbsEncryptionByDefault": everything,
        "RunInstances": run_instances,
        "TerminateInstances": on_instances,
    },
    "iam": {
        "CreateRole": create_role,
        "CreateServiceLinkedRole": service_linked_role,
        "GetInstanceProfile": on_profile,
        "GetRole": on_role,
        "ListRoles": everything,
    },
    "lambda": {
        "GetFunctionConfiguration": on_function("lambda:GetFunctionConfiguration"),
        "Invoke": on_function("lambda:InvokeFunction"),
        "ListTags": on_arn("lambda:ListTags", "Resource"),
    },
    "logs": {
        "DeleteLogGroup": on_log_group,
        "DeleteLogStream": on_log_stream,
        "DescribeLogGroups": everything,
        "ListTagsForResource": on_arn("logs:ListTagsForResource", "resourceArn"),
        "PutLogEvents": on_log_stream,
    },
    "s3": {
        "DeleteBucket": on_bucket("s3:DeleteBucket"),
        "DeleteObjects": delete_objects,
        "GetBucketTagging": on_bucket("s3:GetBucketTagging"),
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
        "GetParameters": on_parameters,
        "GetParametersByPath": on_path,
        "PutParameter": put_parameter,
    },
    "sts": {"DecodeAuthorizationMessage": everything, "GetCallerIdentity": nothing},
}
