"""JumpCloud as far as the program asks it: organisations, users, who is bound to the application, what one user has.
Written from the public description of its API (V1 and V2)."""

import http.server
import json
import threading
import urllib.parse

KEY = "jca_CANARY-9c1e5a7b3d2f48608ace13579bdf0246"
ORGANIZATION, APPLICATION = "5f0000000000000000000001", "6f0000000000000000000001"
ROWS_MAX = 7  # a page is small, so that a small world has pages


class JumpCloud:
    def __init__(self):
        self.users, self.bound = {}, []
        directory = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    directory._answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def hold(self, export):
        """Everybody of an export is a user; whoever may have a door is bound."""
        self.users = {record["_id"]: {"activated": True, "suspended": False, "attributes": [], **record}
                      for record in sorted(export.values(), key=lambda record: record["_id"])}  # fmt: skip
        self.bound = list(self.users)

    def _answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        asked = dict(urllib.parse.parse_qsl(url.query))
        skip, limit = int(asked.get("skip", 0)), min(int(asked.get("limit", 10)), ROWS_MAX)
        headers, status = {}, 200
        rows = lambda of: of[skip : skip + limit]  # noqa: E731
        if request.headers.get("x-api-key") != KEY:
            status, body = 401, {"message": "Unauthorized: api key user not found"}
        else:
            match url.path.strip("/").split("/"):
                case ["api", "organizations"]:
                    body = {"totalCount": 1, "results": [{"_id": ORGANIZATION, "displayName": "X"}]}
                case ["api", "systemusers"]:
                    body = {"totalCount": len(self.users), "results": rows(list(self.users.values()))}
                case ["api", "systemusers", user]:
                    status, body = (200, self.users[user]) if user in self.users else (404, {"message": "not found"})
                case ["api", "v2", "applications", _, "users"]:
                    headers["x-total-count"] = str(len(self.bound))
                    body = rows([{"id": user, "type": "user", "paths": []} for user in self.bound])
                case ["api", "v2", "users", user, "applications"] if user in self.users:
                    bound = user in self.bound
                    body = rows([{"id": APPLICATION, "type": "application", "paths": []}] if bound else [])
                case _:
                    status, body = 404, {"message": "not found"}
        text = json.dumps(body).encode()
        request.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(text)
