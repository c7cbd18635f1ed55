"""The one call of GitHub's API that a recipe makes, over TLS: ``github_api CERTIFICATE KEY TOKEN RUNNER FILE``.

PUT /repos/OWNER/REPOSITORY/actions/runners/RUNNER/labels with {"labels": [...]} replaces the runner's own labels, which
are kept in FILE; it takes a token.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

CERTIFICATE, KEY, TOKEN, RUNNER, FILE = sys.argv[1:6]


class Handler(BaseHTTPRequestHandler):
    """Answers as the API does."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Bad credentials"})
        elif self.path != f"/repos/OWNER/REPOSITORY/actions/runners/{RUNNER}/labels":
            self._answer(404, {"message": "Not Found"})
        else:
            labels = json.loads(body)["labels"]
            Path(f"{FILE}.new").write_text(json.dumps(labels))
            Path(f"{FILE}.new").rename(FILE)
            self._answer(200, {"labels": [{"name": label, "type": "custom"} for label in labels]})

    def _answer(self, code: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server = HTTPServer(("127.0.0.1", 443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
