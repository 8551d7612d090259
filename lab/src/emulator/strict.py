"""Starts ministack with what it lets pass and AWS refuses.

CloudFormation does not take over what exists, does not delete what is protected, keeps in the
stack what a failed rollback could not delete, and gives a bucket its tags. A function's session token
tells which function it is. `POST /_lab/stack-status` puts a stack into a status
that no operation leads to here: its body has `account`, `stack` and `status`.
"""

import json
import sys

from ministack import app as ministack
from ministack.core import lambda_runtime
from ministack.services import cloudwatch_logs, dynamodb, ec2, iam, lambda_svc, s3, ssm
from ministack.services.cloudformation import _stacks, provisioners, stacks


def launch_template_names():
    return {one["LaunchTemplateName"] for one in ec2._launch_templates.values()}


def security_group_names():
    return {one["GroupName"] for one in ec2._security_groups.values()}


# Type: the property with its physical name, and the names that are taken.
NAMED = {
    "AWS::DynamoDB::Table": ("TableName", lambda: dynamodb._tables),
    "AWS::Logs::LogGroup": ("LogGroupName", lambda: cloudwatch_logs._log_groups),
    "AWS::IAM::Role": ("RoleName", lambda: iam._roles),
    "AWS::Lambda::Function": ("FunctionName", lambda: lambda_svc._functions),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateName", launch_template_names),
    "AWS::EC2::SecurityGroup": ("GroupName", security_group_names),
}


def refusing_what_exists(kind, create):
    key, taken = NAMED[kind]

    def strict(logical_id, props, *rest, **named):
        name = props.get(key)
        if name and name in taken():
            raise ValueError(f"Resource of type '{kind}' with identifier '{name}' already exists.")
        return create(logical_id, props, *rest, **named)

    return strict


def refusing_what_is_protected(delete):
    def strict(name, *rest, **named):
        if dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled"):
            raise ValueError(
                f"Resource cannot be deleted as it is currently protected against deletion: {name}"
            )
        return delete(name, *rest, **named)

    return strict


def tagging_the_bucket(create):
    def strict(logical_id, props, *rest, **named):
        made = create(logical_id, props, *rest, **named)
        s3._bucket_tags[made[0]] = {tag["Key"]: tag["Value"] for tag in props.get("Tags", [])}
        return made

    return strict


def keeping_what_stays(roll_back):
    async def strict(stack_name, stack_id, stack, operation, *rest, **named):
        before = dict(stack.get("_resources", {}))
        await roll_back(stack_name, stack_id, stack, operation, *rest, **named)
        if stack["StackStatus"] == "ROLLBACK_FAILED":
            for logical_id in stack["_rollback_failed"]:
                kept = {**before[logical_id], "ResourceStatus": "DELETE_FAILED"}
                stack["_resources"][logical_id] = kept

    return strict


def telling_whose_it_is(credentials):
    def strict(config):
        own = credentials(config)
        return {**own, "AWS_SESSION_TOKEN": f"{own['AWS_SESSION_TOKEN']}/{config['FunctionName']}"}

    return strict


def with_status_of_stacks(app):
    async def strict(scope, receive, send):
        if scope["type"] != "http" or scope["path"] != "/_lab/stack-status":
            return await app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        wanted = json.loads(body)
        found = [
            stack
            for (account, _, name), stack in _stacks.all_items()
            if account == wanted["account"] and name == wanted["stack"]
        ]
        for stack in found:
            stack["StackStatus"] = wanted["status"]
        status = 204 if found else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return strict


# The stock images that the lab's EC2 has, beside the one that ministack knows.
AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default"
UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current"
ssm._PUBLIC_AMI_PARAMETERS.update(
    {
        f"{AL2023}-arm64": "ami-0c2023a1b2c3d4e60",
        f"{UBUNTU}/amd64/hvm/ebs-gp3/ami-id": "ami-0c2404a1b2c3d4e5f",
        f"{UBUNTU}/arm64/hvm/ebs-gp3/ami-id": "ami-0c2404a1b2c3d4e60",
    }
)

for kind in NAMED:
    handler = provisioners._RESOURCE_HANDLERS[kind]
    handler["create"] = refusing_what_exists(kind, handler["create"])
tables = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
tables["delete"] = refusing_what_is_protected(tables["delete"])
for module in (lambda_runtime, lambda_svc):
    module.execution_credentials = telling_whose_it_is(module.execution_credentials)
buckets = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
buckets["create"] = tagging_the_bucket(buckets["create"])
stacks._roll_back_operation = keeping_what_stays(stacks._roll_back_operation)
ministack.app = with_status_of_stacks(ministack.app)
sys.exit(ministack.main())
