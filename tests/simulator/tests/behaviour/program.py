"""What the tests take for an agent's real program: it says what it was given, keeps notes, streams, upgrades, and ends badly."""
import http.server, json, os, signal, subprocess, sys, threading

go = threading.Event()
port = int(sys.argv[sys.argv.index("--port") + 1])
data = os.environ.get("DATA", os.environ["HOME"])
if "CHILD" in os.environ:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: (print("told to end", flush=True), os._exit(0)))


class Program(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        body = self.body()
        if self.path == "/notes":
            with open(f"{data}/notes", "ab") as notes:
                notes.write(body)
        self.answer(body)

    def do_GET(self):
        if self.path == "/notes":
            there = os.path.exists(f"{data}/notes")
            self.answer(open(f"{data}/notes", "rb").read() if there else b"")
        elif self.path == "/die":
            os._exit(3)
        elif self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: one\n\n")
            self.wfile.flush()
            go.wait(20)
            self.wfile.write(b"data: two\n\n")
            self.close_connection = True
        elif self.path == "/go":
            go.set()
            self.answer(b"")
        elif self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Upgrade", "echo")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.read(4).upper())
            self.wfile.flush()
            self.close_connection = True
        else:
            given = {"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid(), "host": self.headers["Host"]}
            self.answer(json.dumps(given).encode())

    def log_message(self, *_):
        pass


print("begins", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Program).serve_forever()
