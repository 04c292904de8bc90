"""Takes notifications as a record system should: nothing unknown, nothing twice, nothing lost, in order.

python listen.py --port 9000 --secret SECRET --journal FOLDER

Each event is a file `<number>.json` of the folder, written before the answer: 2xx means that it is kept. A number that
is there already came again; a number that is missing behind us is what `Subscription/[id]/$events` is for.
"""

import argparse
import hmac
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from stepwell_client import events_of

BODY_BYTES_MAX = 4_000_000


def keep(folder: Path, bundle: dict[str, object]) -> None:
    """Writes the events that are new."""
    _, events = events_of(bundle)
    for event in events:
        path = folder / f"{event.number:09}.json"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"focus": event.focus, "resources": dict(event.resources)}), encoding="utf-8")
            part.rename(path)


def main() -> None:
    """Listens until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    options = parser.parse_args()
    options.journal.mkdir(parents=True, exist_ok=True)
    expected = f"Bearer {options.secret}".encode()

    class Hook(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """401 for whoever does not know the secret; 204 once everything is kept."""
            length = int(self.headers.get("Content-Length", 0))
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), expected):
                self._answer(401)
            elif length > BODY_BYTES_MAX:
                self._answer(413)
            else:
                keep(options.journal, json.loads(self.rfile.read(length)))
                self._answer(204)

        def _answer(self, status: int) -> None:
            self.close_connection = status != 204
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Notifications are about people: nothing of them in a log."""

    ThreadingHTTPServer(("127.0.0.1", options.port), Hook).serve_forever()


if __name__ == "__main__":
    main()
