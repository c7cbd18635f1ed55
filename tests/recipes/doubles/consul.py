"""What `consul agent`, `maint` and `leave` do, by Consul's documentation: an agent with a service `web` at port 8500.

The agent keeps its state in /var/lib/consul-double.json, also when it has left: ``maintenance``, ``token``.
"""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FILE = Path("/var/lib/consul-double.json")
ADDRESS = ("127.0.0.1", 8500)


class Agent(BaseHTTPRequestHandler):
    """The agent's HTTP API, as far as it is asked."""

    def do_PUT(self) -> None:
        url, state = urlsplit(self.path), json.loads(FILE.read_text())
        if self.headers["X-Consul-Token"] != state["token"]:
            self._answer(403, "Permission denied")
        elif url.path == "/v1/agent/maintenance":
            on = parse_qs(url.query)["enable"] == ["true"]
            new = FILE.with_suffix(".new")
            new.write_text(json.dumps({**state, "maintenance": parse_qs(url.query)["reason"][0] if on else ""}))
            new.rename(FILE)
            self._answer(200, None)
        elif url.path == "/v1/agent/leave":
            self._answer(200, None)
            threading.Thread(target=self.server.shutdown).start()

    def do_GET(self) -> None:
        healthy = not json.loads(FILE.read_text())["maintenance"]
        self._answer(200, [{"Service": {"Service": "web"}}] if healthy else [])

    def _answer(self, code: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def put(path: str) -> int:
    token = Path(os.environ["CONSUL_HTTP_TOKEN_FILE"]).read_text().strip()
    request = urllib.request.Request(
        f"http://{ADDRESS[0]}:{ADDRESS[1]}{path}", method="PUT", headers={"X-Consul-Token": token}
    )
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - likewise
            return 0
    except urllib.error.URLError as error:
        print(error, file=sys.stderr)
        return 1


def main(words: list[str]) -> int:
    match words:
        case ["agent", *_]:
            ThreadingHTTPServer(ADDRESS, Agent).serve_forever()
            return 0
        case ["maint", "-enable", "-reason", reason]:
            return put(f"/v1/agent/maintenance?enable=true&reason={reason.replace(' ', '+')}")
        case ["maint", "-disable"]:
            return put("/v1/agent/maintenance?enable=false")
        case ["leave"]:
            return put("/v1/agent/leave")
    print(f"no such command: {words}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
