"""A small API server of Kubernetes, as far as `kubectl drain` asks: ``kubernetes_api CERTIFICATE KEY TOKEN FILE``.

FILE is its state (JSON), which it reads and writes: ``rules`` as a ClusterRole has them, which alone are allowed;
``nodes``; ``pods``; ``budget``, how many evictions a disruption budget still refuses; ``requests``, what came. A pod
that is evicted is there for as many seconds as its ``terminationGracePeriodSeconds`` or the eviction says.
"""

import json
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CERTIFICATE, KEY, TOKEN, FILE = sys.argv[1:5]

LOCK = threading.Lock()

RESOURCES = [
    {"name": "nodes", "namespaced": False, "kind": "Node", "verbs": ["get", "list", "patch"]},
    {"name": "pods", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]},
    {
        "name": "pods/eviction",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    },
]

DISCOVERY: Mapping[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": f"{group}/v1", "version": "v1"},
            }
            for group in ("apps", "policy")
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": RESOURCES},
    "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []},
    "/apis/policy/v1": {"kind": "APIResourceList", "groupVersion": "policy/v1", "resources": []},
}


class Refused(Exception):
    """What is answered with a status."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def status(code: int, reason: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": reason,
    }


def allow(state: Mapping[str, Any], group: str, resource: str, verb: str) -> None:
    for rule in state["rules"]:
        if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
            return
    raise Refused(403, "Forbidden")


def is_there(pod: Mapping[str, Any]) -> bool:
    return float(pod.get("gone", time.time() + 1)) > time.time()


def shown(pod: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "Pod", "apiVersion": "v1", **{key: pod[key] for key in ("metadata", "spec", "status")}}


def answer(state: Any, verb: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
    """What the API server answers; it may change the state."""
    words = path.strip("/").split("/")
    match words:
        case ["api", "v1", "nodes"] if verb == "get":
            allow(state, "", "nodes", "list")
            return {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": state["nodes"]}
        case ["api", "v1", "nodes", name]:
            allow(state, "", "nodes", verb)
            (node,) = (node for node in state["nodes"] if node["metadata"]["name"] == name)
            if verb == "patch":
                node["spec"] |= body["spec"]
            return {"kind": "Node", "apiVersion": "v1", **node}
        case ["api", "v1", "pods"]:
            allow(state, "", "pods", "list")
            (selector,) = query["fieldSelector"]
            node_name = selector.removeprefix("spec.nodeName=")
            pods = [shown(pod) for pod in state["pods"] if is_there(pod) and pod["spec"]["nodeName"] == node_name]
            return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}
        case ["apis", "apps", "v1", "namespaces", _, "daemonsets", name]:
            allow(state, "apps", "daemonsets", "get")
            return {"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": name}, "spec": {}}
        case ["api", "v1", "namespaces", _, "pods", name, *rest]:
            allow(state, "", "/".join(["pods", *rest]), "create" if verb == "post" else verb)
            found = [pod for pod in state["pods"] if pod["metadata"]["name"] == name and is_there(pod)]
            if not found:
                raise Refused(404, "NotFound")
            if rest == ["eviction"]:
                return evict(state, found[0], body)
            return shown(found[0])
    raise Refused(404, "NotFound")


def evict(state: Any, pod: Any, body: Any) -> Any:
    if pod["metadata"].get("labels", {}).get("guarded") and state["budget"] > 0:
        state["budget"] -= 1
        raise Refused(429, "TooManyRequests")
    options = body.get("deleteOptions") or {}
    grace = options.get("gracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"])
    pod["grace"] = grace
    pod["gone"] = time.time() + min(grace, pod["takes"])
    pod["metadata"]["deletionTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}


class Handler(BaseHTTPRequestHandler):
    """Answers as the API server does."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        verb = self.command.lower()
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, status(401, "Unauthorized"))
            return
        try:
            self._answer(201 if verb == "post" else 200, self._document(verb, url.path, parse_qs(url.query), body))
        except Refused as refused:
            self._answer(refused.code, status(refused.code, str(refused)))

    do_GET = do_PATCH = do_POST = _serve  # noqa: N815 - the library's names

    def _document(self, verb: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
        if path in DISCOVERY:
            return DISCOVERY[path]
        with LOCK:
            state = json.loads(Path(FILE).read_text())
            state["requests"].append([verb, path])
            try:
                return answer(state, verb, path, query, body)
            finally:
                Path(f"{FILE}.new").write_text(json.dumps(state))
                Path(f"{FILE}.new").rename(FILE)

    def _answer(self, code: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server = ThreadingHTTPServer(("127.0.0.1", 6443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
