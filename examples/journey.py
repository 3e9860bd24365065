"""The whole journey from a script: register, take an image, make a container,
see it run, read three samples, stop it, remove it. Plain HTTP and one WebSocket
(the subprotocol graphql-transport-ws); Python's standard library is enough.

    python3 examples/journey.py [URL]         default http://127.0.0.1:8080
"""

import base64
import collections
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import time
import urllib.parse

SITE = urllib.parse.urlsplit(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
DEADLINE = time.monotonic() + 180


class Refused(Exception):
    """What the server says is wrong."""


def left():
    """Seconds until the journey gives up."""
    seconds = DEADLINE - time.monotonic()
    if seconds <= 0:
        raise Refused("not done within 180 s")
    return seconds


def explain(errors):
    return "\n".join(": ".join(filter(None, [e.get("extensions", {}).get("code"), e["message"]])) for e in errors)


class Api:
    """Queries and mutations over HTTP; remembers the cookie that registering sets."""

    def __init__(self):
        self.cookie = ""

    def __call__(self, query, **variables):
        secure = SITE.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        with contextlib.closing(connect(SITE.hostname, SITE.port, timeout=left())) as connection:
            body = json.dumps({"query": query, "variables": variables})
            headers = {
                "Content-Type": "application/json",
                "Accept": "application/graphql-response+json",
                "Cookie": self.cookie,
            }
            connection.request("POST", "/graphql", body, headers)
            response = connection.getresponse()
            text = response.read().decode()
            for cookie in response.headers.get_all("Set-Cookie", []):
                self.cookie = cookie.split(";")[0]
        if "json" not in response.headers.get("Content-Type", ""):
            raise Refused(f"{response.status}: {text.strip()}")
        answer = json.loads(text)
        if "errors" in answer:
            raise Refused(explain(answer["errors"]))
        return answer["data"]


class Subscriptions:
    """A WebSocket that carries subscriptions, in the little of RFC 6455 that this needs."""

    TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

    def __init__(self, cookie):
        secure = SITE.scheme == "https"
        raw = socket.create_connection((SITE.hostname, SITE.port or (443 if secure else 80)), timeout=left())
        self.socket = ssl.create_default_context().wrap_socket(raw, server_hostname=SITE.hostname) if secure else raw
        self.reader = self.socket.makefile("rb")
        self.waiting = collections.defaultdict(collections.deque)  # messages by subscription
        self.last_id = 0
        self.upgrade(cookie)
        self.send(type="connection_init")
        if (first := self.receive())["type"] != "connection_ack":
            raise Refused(f"the server answered {first} to connection_init")

    def upgrade(self, cookie):
        key = base64.b64encode(os.urandom(16)).decode()
        head = [
            "GET /graphql HTTP/1.1",
            f"Host: {SITE.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Protocol: graphql-transport-ws",
            f"Cookie: {cookie}",
        ]
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())
        status = self.reader.readline().decode().strip()
        headers = http.client.parse_headers(self.reader)
        expected = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        if " 101 " not in status + " " or headers.get("Sec-WebSocket-Accept", "").encode() != expected:
            raise Refused(f"the server refused the WebSocket: {status}")

    def subscribe(self, query, **variables):
        """Yields the data of each message until the server completes or the caller stops reading."""
        self.last_id += 1
        me = str(self.last_id)
        self.send(id=me, type="subscribe", payload={"query": query, "variables": variables})
        over = False
        try:
            while True:
                message = self.next_of(me)
                payload = message.get("payload")
                over = message["type"] in ("error", "complete")
                if message["type"] == "complete":
                    return
                if message["type"] == "error" or "errors" in payload:
                    raise Refused(explain(payload if message["type"] == "error" else payload["errors"]))
                yield payload["data"]
        finally:
            if not over:
                with contextlib.suppress(OSError):  # the socket may be closed by now
                    self.send(id=me, type="complete")

    def next_of(self, me):
        while not self.waiting[me]:
            message = self.receive()
            self.waiting[message.get("id")].append(message)
        return self.waiting[me].popleft()

    def receive(self):
        while True:
            message = json.loads(self.read_text())
            if message["type"] != "ping":
                return message
            self.send(type="pong")

    def read_text(self):
        """The next whole message. Frames from a server are not masked."""
        parts = []
        while True:
            self.socket.settimeout(left())
            first, second = self.read(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.read(8))
            opcode, payload = first & 0x0F, self.read(length)
            if opcode == self.PING:
                self.write(self.PONG, payload)
            elif opcode == self.CLOSE:
                (code,) = struct.unpack("!H", payload[:2]) if payload else (1005,)
                raise Refused(f"the server closed the WebSocket: {code} {payload[2:].decode()}")
            elif opcode < self.CLOSE:
                parts.append(payload)
                if first & 0x80:
                    return b"".join(parts).decode()

    def read(self, count):
        data = self.reader.read(count)
        if len(data) < count:
            raise Refused("the server cut the WebSocket")
        return data

    def send(self, **message):
        self.write(self.TEXT, json.dumps(message).encode())

    def write(self, opcode, payload):
        """One whole frame from a client: masked, as RFC 6455 wants it."""
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def close(self):
        with contextlib.suppress(OSError):
            self.write(self.CLOSE, struct.pack("!H", 1000))
        self.reader.close()
        self.socket.close()


def ready_image(api, subscriptions):
    """An image that containers can be made of: one that is there, else the first of the catalogue, pulled."""
    found = api("{ images(first: 1, where: { status: [READY] }) { edges { node { id reference } } } }")
    for edge in found["images"]["edges"]:
        return edge["node"]

    catalogue = api("{ imageCatalogue { reference } }")["imageCatalogue"]
    if not catalogue:
        raise Refused("there is no image here, and the catalogue is empty")
    image = api(
        "mutation ($input: PullImageInput!) { pullImage(input: $input) { image { id reference } } }",
        input={"reference": catalogue[0]["reference"]},
    )["pullImage"]["image"]
    print(f"pulling {image['reference']}")
    changes = subscriptions.subscribe(
        "subscription ($id: ID!) { imageChanged(id: $id) { image { status statusMessage progress { percent } } } }",
        id=image["id"],
    )
    for change in changes:
        now = change["imageChanged"]["image"] or {"status": "REMOVED"}
        if now["status"] == "READY":
            changes.close()
            return image
        if now["status"] not in ("PENDING", "PULLING"):
            raise Refused(f"{image['reference']} is {now['status']}: {now.get('statusMessage')}")
        if now["progress"] and now["progress"]["percent"] is not None:
            print(f"  {now['progress']['percent']:.0f} %")
    raise Refused("the server ended the subscription to the image")


def until(changes, wanted):
    """Reads changes until the container has the status, or is gone where the status is REMOVED."""
    for change in changes:
        change = change["containerChanged"]
        container = change["container"] or {}
        status = "REMOVED" if change["kind"] == "REMOVED" else container["status"]
        print(f"  {status}")
        if status == wanted:
            return
        if status in ("FAILED", "LOST", "REMOVED"):
            raise Refused(f"the container is {status}, not {wanted}: {container.get('statusMessage') or 'it is gone'}")
    raise Refused(f"the changes ended before {wanted}")


def journey():
    api = Api()
    username = f"journey-{secrets.token_hex(4)}"
    api(
        "mutation ($input: RegisterInput!) { register(input: $input) { user { id } } }",
        input={"username": username, "email": f"{username}@example.com", "password": secrets.token_urlsafe(12)},
    )
    print(f"registered {username}")

    subscriptions = Subscriptions(api.cookie)
    image = ready_image(api, subscriptions)
    container = api(
        "mutation ($input: CreateContainerInput!) { createContainer(input: $input) { container { id name } } }",
        input={"name": username, "imageId": image["id"]},
    )["createContainer"]["container"]
    print(f"made {container['name']} of {image['reference']}")

    me = {"id": container["id"]}
    there = True
    try:
        changes = subscriptions.subscribe(
            "subscription ($id: ID!) { containerChanged(id: $id) { kind container { status statusMessage } } }", **me
        )
        until(changes, "RUNNING")

        samples = subscriptions.subscribe(
            "subscription ($id: ID!) { containerStats(id: $id) { cpuPercent memoryUsage memoryLimit pids } }", **me
        )
        for _ in range(3):
            sample = next(samples, None)
            if sample is None:
                raise Refused("the samples ended")
            sample = sample["containerStats"]
            used, limit = sample["memoryUsage"] / 2**20, sample["memoryLimit"] / 2**20
            cpu, pids = sample["cpuPercent"], sample["pids"]
            print(f"  cpu {cpu:.1f} %, memory {used:.1f} of {limit:.1f} MiB, {pids} processes")
        samples.close()

        api('mutation ($id: ID!) { stopContainer(id: $id, timeout: "2s") { container { id } } }', **me)
        until(changes, "EXITED")
        api("mutation ($id: ID!) { removeContainer(id: $id) { container { id } } }", **me)
        until(changes, "REMOVED")
        there = False
        print("done")
    finally:
        # Nothing is left behind, also when something went wrong half way.
        if there:
            with contextlib.suppress(Refused, OSError):
                api("mutation ($id: ID!) { removeContainer(id: $id) { container { id } } }", **me)
        subscriptions.close()


if __name__ == "__main__":
    try:
        journey()
    except (Refused, OSError, ValueError) as error:
        sys.exit(f"journey: {error}")
