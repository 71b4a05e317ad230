"""What a test takes for a program behind the runner: it has no token, says who it was told to be, and keeps notes."""
import http.server, json, os, sys

state = os.environ["AGENT_STATE_DIR"]


def kept(name):
    path = f"{state}/{name}"
    return open(path).read() if os.path.exists(path) else None


class Program(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        with open(f"{state}/notes", "ab") as notes:
            notes.write(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({})

    def do_GET(self):
        if self.path == "/state":
            return self.answer({"state": "ok", "version": "3.1"})
        self.answer({"who": kept("AGENTS.md"), "notes": kept("notes"), "settings": kept("settings"), "env": dict(os.environ)})

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Program).serve_forever()
