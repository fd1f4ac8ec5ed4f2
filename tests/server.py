"""A server of files on this machine, with the faults of those on the network."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` at every path; ``cuts`` and ``states`` are used up request by request."""

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.has_ranges = True
        self.moves = False  # whether another address on this server is named first
        self.cuts: list[int] = []  # bytes of an answer after which the connection is closed
        self.states: list[int] = []  # HTTP errors to answer with
        self.ranges: list[str | None] = []  # what was asked for

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/some/a%20set.zip?token=1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.moves and "moved" not in self.path:
            self.send_response(302)
            self.send_header("Location", f"{self.path}&moved")
            self.end_headers()
            return
        if self.server.states:
            self.send_error(self.server.states.pop(0))
            return
        content, total = self.server.content, len(self.server.content)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.has_ranges else 0
        if start and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else total
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Server]:
    with Server(content) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
