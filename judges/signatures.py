"""Judge of signatures: botocore signs each recorded request once more, with the key that every recording
lab has, and must come to the same."""

import http.client

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from recording import Call

# `KNOWN_SECRET` in `lab/src/recording.rs`.
SECRET = "known-to-everybody-because-it-records"


def judge(call: Call) -> list[str]:
    """What is wrong with the signature."""
    headers, scope = call.line["headers"], call.scope
    signed = scope["headers"].split(";")
    unsigned = [name for name in headers if (name.startswith("x-amz-") or name == "host") and name not in signed]
    faults = [f"the header {name} is not signed" for name in unsigned]
    told = headers.get("x-amz-content-sha256")
    sent = call.line["body_sha256"]
    if told not in (None, sent):
        faults.append("the body is not what its digest says")
    if again(call, signed, sent) != scope["signature"]:
        faults.append("botocore signs the same request otherwise")
    return faults


def again(call: Call, signed: list[str], sent: str) -> str:
    line, scope = call.line, call.scope

    class Signer(S3SigV4Auth if scope["service"] == "s3" else SigV4Auth):
        """Signs what is recorded, whatever botocore itself would have put in."""

        def payload(self, request):
            return sent

        def headers_to_sign(self, request):
            message = http.client.HTTPMessage()
            for name in signed:
                message[name] = line["headers"].get(name, "")
            return message

    token = line["headers"].get("x-amz-security-token")
    signer = Signer(Credentials(scope["key"], SECRET, token), scope["service"], scope["region"])
    url = f"http://{line['headers']['host']}{line['uri']}"
    request = AWSRequest(method=line["method"], url=url, headers=line["headers"])
    request.context["timestamp"] = line["headers"]["x-amz-date"]
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return signer.signature(to_sign, request)
