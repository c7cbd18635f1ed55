"""What an instance is there for, as a process: a small HTTP server for each of its addresses.

    python -m tests.story.application DIRECTORY PORT ADDRESS [ADDRESS ...]

`/quick` is answered at once, `/slow` after `SLOW_SECONDS`. On SIGTERM it lets nobody in any more, answers what it has
let in, and ends, as nginx does on QUIT. While it runs, its number is in `application.pid`; each request is a line of
`requests.jsonl` when it comes.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn

SLOW_SECONDS = 2.0
"""As long as the TTL of the story: a request that began with a fresh answer outlasts it."""

PID_FILE = "application.pid"
REQUESTS = "requests.jsonl"


class _Server(ThreadingMixIn, TCPServer):
    """Not `ThreadingHTTPServer`, which looks its own name up."""

    allow_reuse_address = True
    daemon_threads = False  # to close it waits for the requests that are on their way
    request_queue_size = 128


def _handler(log: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = self.connection.getsockname()[0]
            line = json.dumps({"address": address, "path": self.path, "at": time.monotonic()})
            os.write(log, f"{line}\n".encode())
            if self.path == "/slow":
                time.sleep(SLOW_SECONDS)
            body = address.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are in the file."""

    return Handler


def _serve(server: _Server) -> None:
    server.serve_forever(poll_interval=0.02)
    server.server_close()


def serve(directory: Path, port: int, addresses: Sequence[str]) -> None:
    """Until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads: nobody but sigwait gets it
    handler = _handler(os.open(directory / REQUESTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    servers = [_Server((address, port), handler) for address in addresses]
    threads = [threading.Thread(target=_serve, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    (directory / PID_FILE).write_text(str(os.getpid()))
    signal.sigwait({signal.SIGTERM})
    for server in servers:
        server.shutdown()
    for thread in threads:
        thread.join()
    (directory / PID_FILE).unlink()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
