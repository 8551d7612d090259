"""A cloud for one machine, inside it: metadata, the runner route, logs and the forge's calls, on its own
loopback. What AWS is asked is written to /state/requests.jsonl as the lab records calls, so that the judges
read it; what is said and when, to /state/seen.jsonl. /state/plan.json says how the cloud behaves."""

import hashlib
import http.server
import json
import socketserver
import subprocess
import threading
import time

STATE = "/state"
PLAN = json.load(open(f"{STATE}/plan.json"))
SECRET = "known-to-everybody-because-it-records"
KEYS = {"AccessKeyId": "ASIA0123456789ABCDEF", "SecretAccessKey": SECRET, "Token": "lab-token"}
LOCK = threading.Lock()
BEGIN = time.monotonic()


def note(kind, **what):
    with LOCK, open(f"{STATE}/seen.jsonl", "a") as file:
        file.write(json.dumps({"at": round(time.monotonic() - BEGIN, 3), "kind": kind, **what}) + "\n")


def record(handler, body, status):
    """One line as `lab/src/recording.rs` writes it."""
    line = {
        "at_ms": int(time.time() * 1000),
        "account": "111111111111",
        "caller": "machine:lab-ci-runner",
        "method": handler.command,
        "uri": handler.path,
        "headers": {name.lower(): value for name, value in handler.headers.items()},
        "body": body.decode(),
        "body_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "status": status,
        "about": {"api": "lab"},
    }
    with LOCK, open(f"{STATE}/requests.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


def of_runners_user():
    """What its user runs, and no corpses."""
    listed = subprocess.run(
        ["ps", "-o", "stat=,args=", "-U", "ci"], capture_output=True, text=True
    ).stdout
    return [line for line in listed.splitlines() if not line.startswith("Z")]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text=""):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def log_message(self, *args):
        pass


class Metadata(Handler):
    failures = PLAN.get("metadata_failures", 0)

    def do_PUT(self):
        note("metadata")
        if Metadata.failures > 0:
            Metadata.failures -= 1
            return self.answer(503)
        self.answer(200, "token")

    def do_GET(self):
        path = self.path.removeprefix("/latest/meta-data/")
        if self.headers.get("x-aws-ec2-metadata-token") != "token":
            return self.answer(401)
        if path == "instance-id":
            return self.answer(200, "i-0123456789abcdef0")
        if path == "iam/security-credentials/":
            return self.answer(200, "lab-ci-runner")
        if path == "iam/security-credentials/lab-ci-runner":
            return self.answer(200, json.dumps(KEYS, indent=1))
        notice = PLAN.get("notice")
        if path == "spot/instance-action" and notice and time.monotonic() - BEGIN > notice["after_s"]:
            at = BEGIN_WALL + notice["after_s"] + notice["left_s"]
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            return self.answer(200, json.dumps({"action": "terminate", "time": at}))
        self.answer(404)


class Aws(Handler):
    def do_POST(self):
        body = self.body()
        if "x-amz-target" in self.headers:
            record(self, body, 200)
            note("logs", body=json.loads(body))
            return self.answer(200, "{}")
        asked = json.loads(body)
        record(self, body, 200)
        note("route", **asked)
        if "mark" in asked:
            note("alive", mark=asked["mark"], processes=of_runners_user())
        if "mark" in asked and asked["mark"] == PLAN.get("shut_down_at"):
            # As EC2 does it with an instance that is stopped in good order.
            subprocess.Popen(["systemctl", "poweroff"])
        if "ask" in asked:
            return self.answer(200, PLAN["answer"])
        self.answer(200, "noted")


class Forge(Handler):
    def do_POST(self):
        body = json.loads(self.body())
        method = self.path.rsplit("/", 1)[-1]
        note("forge", method=method, token=self.headers.get("x-runner-token"), body=body)
        if PLAN.get("job_is_over"):
            words = "rpc error: code = Unauthenticated desc = unregistered runner"
            return self.answer(500, json.dumps({"code": "unknown", "message": words}))
        self.answer(200, json.dumps({"ackIndex": "3"} if method == "UpdateLog" else {}))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


# On AWS this address is none of the machine's own, so that each rule of its routing applies: here it is looked
# up among those last. systemd-networkd leaves what is the kernel's.
for words in (
    "add pref 32767 lookup local protocol kernel",
    "del pref 0",
    "add pref 0 not to 169.254.169.254 lookup local protocol kernel",
):
    subprocess.run(["ip", "rule", *words.split()], check=True)

BEGIN_WALL = time.time()
PLACES = [(("169.254.169.254", 80), Metadata), (("127.0.0.1", 8088), Aws), (("127.0.0.1", 3000), Forge)]
SERVERS = [Server(address, handler) for address, handler in PLACES]
for server in SERVERS[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
open(f"{STATE}/cloud-is-up", "w").close()
SERVERS[0].serve_forever()
