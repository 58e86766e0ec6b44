"""Drives go-sendxmpp, the command-line client in Go: sends and listens with two of it.

Where the server is comes from the environment. Writes `ok NAME` or `not ok NAME: WHY` per check.
"""

import os
import queue
import subprocess
import threading

DOMAIN = os.environ["XMPP_DOMAIN"]
HOST = os.environ["XMPP_HOST"]
STARTTLS = f"{HOST}:{os.environ['XMPP_PORT']}"
DIRECT_TLS = f"{HOST}:{os.environ['XMPP_TLS_PORT']}"
PASSWORD = os.environ["XMPP_PASSWORD"]

# Seconds any one run may take.
PATIENCE = 20


def command(local, server, *options, password=PASSWORD):
    # The server made its own certificate: -n.
    account = ["-u", f"{local}@{DOMAIN}", "-p", password]
    tls = ["-t"] if server == DIRECT_TLS else []
    return ["go-sendxmpp", "-n", "-j", server, *account, *tls, *options]


def send(local, server, to, body, password=PASSWORD):
    return subprocess.run(
        command(local, server, f"{to}@{DOMAIN}", password=password),
        input=body.encode(), capture_output=True, timeout=PATIENCE,
    )


class Listener:
    """A listening client, whose lines can be awaited."""

    def __init__(self, local, server):
        self.process = subprocess.Popen(
            command(local, server, "-l"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())

    def hears(self, text):
        line = self.lines.get(timeout=PATIENCE)
        assert text in line, f"{line} in place of {text}"

    def leave(self):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)


def succeeds(result):
    assert result.returncode == 0, result.stderr.decode() or result.stdout.decode()


def sends_by_starttls_what_is_kept_for_later():
    succeeds(send("romeo", STARTTLS, "nurse", "Commend me ☀"))
    nurse = Listener("nurse", STARTTLS)
    nurse.hears("Commend me ☀")
    nurse.leave()


def sends_by_direct_tls_to_somebody_listening():
    # The first message tells when the listener is there: it is kept until then.
    succeeds(send("romeo", DIRECT_TLS, "juliet", "Art thou there?"))
    juliet = Listener("juliet", DIRECT_TLS)
    juliet.hears("Art thou there?")
    succeeds(send("romeo", DIRECT_TLS, "juliet", "It is the east"))
    juliet.hears("It is the east")
    juliet.leave()


def refuses_a_wrong_password():
    result = send("romeo", STARTTLS, "juliet", "never sent", password="rosaline")
    assert result.returncode != 0, "it was let in"


for check in (
    sends_by_starttls_what_is_kept_for_later,
    sends_by_direct_tls_to_somebody_listening,
    refuses_a_wrong_password,
):
    name = check.__name__.replace("_", "-")
    try:
        check()
        print(f"ok {name}", flush=True)
    except Exception as error:
        print(f"not ok {name}: {type(error).__name__} {error}", flush=True)
