"""A web server whose answer is its name, after as many seconds as the path says: ``slow_server NAME ADDRESS PORT``."""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers with the name of the server."""

    def do_GET(self) -> None:
        time.sleep(float(self.path.strip("/") or 0))
        body = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
