"""Stands in for services on the network of `apart.py`: by HTTP/1.1, HTTP/2, WebSocket and gRPC, and
with a repository for git. It notes each request as it arrived, and sends back what was in it."""

import asyncio
import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from hypercorn.asyncio import serve
from hypercorn.config import Config

#: Where it speaks gRPC; everything else is at the usual port.
GRPC_PORT = 8443
#: What a program needs that wants a repository and didn't say who it is.
WHO = [(b"www-authenticate", b'Basic realm="standin"')]


class StandIn:
    """What it notes, and what it has."""

    def __init__(self, notes, repositories):
        self._notes, self._repositories = notes, repositories

    def note(self, **what):
        with self._notes.open("a") as notes:
            notes.write(json.dumps(what) + "\n")

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope, receive, send):
        headers, body = read(scope), b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event["more_body"]:
                break
        said = {"version": scope["http_version"], "method": scope["method"], "path": scope["path"]}
        said |= {"query": scope["query_string"].decode(), "headers": headers, "body": body.decode()}
        self.note(**said)
        status, more, answer = self._repository(scope["path"], headers) or as_services_do(said)
        reflected = headers.get("authorization", "none").encode()
        more = [*more, (b"x-reflected", reflected), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": more})
        await send({"type": "http.response.body", "body": answer})

    def _repository(self, path, headers):
        """A file of a repository, for those who say who they are."""
        if headers["host"] != "github.com":
            return None
        if "authorization" not in headers:
            return 401, WHO, b""
        file = self._repositories / path.lstrip("/")
        return (200, [], file.read_bytes()) if file.is_file() else (404, [], b"")

    async def _websocket(self, scope, receive, send):
        headers = read(scope)
        self.note(path=scope["path"], headers=headers)
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": json.dumps(headers)})
            else:
                await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})

    def say(self, request, context):
        """The one call by gRPC."""
        headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        self.note(path="grpc", headers=headers, body=request.decode())
        context.set_trailing_metadata([("x-reflected", headers.get("authorization", "none"))])
        return json.dumps(headers).encode() + request


def read(scope):
    """Headers as text; the host by either version's name."""
    return {name.decode().lower().replace(":authority", "host"): value.decode() for name, value in scope["headers"]}


def as_services_do(said):
    """A list, as OpenAI and Stripe have them, of everything that was said, and of its encodings."""
    credential = said["headers"].get("authorization", "")
    told = {**said, "encoded": base64.b64encode(credential.encode()).decode(), "hex": credential.encode().hex()}
    one = {"id": credential or "none", "object": "customer", "created": 0, "owned_by": "standin", "told": told}
    answer = {"object": "list", "data": [one], "has_more": False, "url": said["path"]}
    return 200, [(b"content-type", b"application/json")], json.dumps(answer).encode() + b"\n"


def speak_grpc(stand_in, certificate, key):
    """A server that goes on by itself."""
    say = grpc.unary_unary_rpc_method_handler(stand_in.say)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("standin.Echo", {"Say": say})])
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    server.add_secure_port(f"0.0.0.0:{GRPC_PORT}", credentials)
    server.start()
    return server


async def main(place):
    """Serves with what lies there, until it is ended."""
    stand_in = StandIn(place / "notes", place / "repositories")
    certificate, key = place / "leaf.pem", place / "leaf.key"
    config = Config()
    config.bind = ["0.0.0.0:443"]
    config.certfile, config.keyfile = str(certificate), str(key)
    config.errorlog = None
    config.include_server_header = False
    calls = speak_grpc(stand_in, certificate, key)
    serving = asyncio.create_task(serve(stand_in, config))
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", 443)
        except ConnectionError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            break
    print("ready", flush=True)
    await serving
    calls.stop(None)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
