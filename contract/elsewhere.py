"""Another site, whose pages are empty until something is written into them."""

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Empty(BaseHTTPRequestHandler):
    """A page for every path, which forbids nothing."""

    def do_GET(self):
        page = b"<!DOCTYPE html><title>elsewhere</title>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        # The browser may have gone on already.
        with suppress(ConnectionError):
            self.wfile.write(page)

    def log_message(self, *_):
        pass


@contextmanager
def site(host="127.0.0.1"):
    """Its URL. On our own host browsers take it for the same site, of another origin; by another name for another."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
