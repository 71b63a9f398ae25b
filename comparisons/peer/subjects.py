"""The programs measured, as processes: how each is started, and what the kernel says it has used."""
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf('SC_CLK_TCK')
BROKER = '''
listener {port} 127.0.0.1
allow_anonymous true
persistence false
user root
log_type none
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 1000
'''
CONFIG = '''
[broker]
url = "mqtt://127.0.0.1:{port}"
client_id = "inferd"
[gateway]
id = "bench"
[models]
dir = "{models}"
[store]
dir = "{store}"
[[stream]]
name = "{stream}"
model = "{stream}"
topic = "sensors/{{device}}/{stream}"
qos = 1
payload = {payload}
guarantee = "at-least-once"
max_keys = 20000
[stream.publish]
topic = "predictions/{{stream}}/{{device}}"
'''
PAYLOADS = {
    'kws': '{ format = "i8" }',
    'motion': '{ format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"] }',
}
# The card of the tests, with probabilities for every word.
KWS_OUTPUT = '''kind = "classification"
activation = "none"
labels = ["down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown"]
top_k = 12
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Process:
    """A child with its own scratch folder; ended, and its folder gone, on leaving the `with`."""

    def __init__(self, command, **environment):
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen([str(c) for c in command], stdout=self.log, stderr=self.log,
                                      env=os.environ | environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def check(self):
        """Raises with the child's last words if it has ended."""
        if self.child.poll() is not None:
            self.log.seek(0)
            raise RuntimeError(f'{self.child.args[0]} ended with {self.child.returncode}:\n'
                               + self.log.read()[-3000:].decode(errors='replace'))

    def cpu(self):
        """Seconds of user and system time so far, all threads (/proc/PID/stat; in ticks of 10 ms)."""
        self.check()
        fields = Path(f'/proc/{self.child.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self):
        """The largest resident set so far, in bytes."""
        line = next(l for l in Path(f'/proc/{self.child.pid}/status').read_text().splitlines() if l.startswith('VmHWM'))
        return int(line.split()[1]) * 1024


def mosquitto():
    program = shutil.which('mosquitto', path=os.environ['PATH'] + ':/usr/sbin:/usr/local/sbin')
    return program or sys.exit('mosquitto is not installed (apt-get install mosquitto)')


def version():
    """`mosquitto 2.0.11`, say: how a broker keeps to the receive maximum depends on it."""
    said = subprocess.run([mosquitto(), '-h'], capture_output=True, text=True).stdout
    return ' '.join(said.split('\n', 1)[0].replace('version ', '').split())


class Broker(Process):
    """mosquitto with nothing on disk and no bound on what it queues, so that what is lost is not lost there."""

    def __init__(self):
        program = mosquitto()
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        config = Path(self.folder.name, 'mosquitto.conf')
        config.write_text(BROKER.format(port=self.port))
        super().__init__([program, '-c', config])
        wait_for(lambda: reachable(self.port), self)


class Subject(Process):
    """One of `python`, `echo`, `inferd` serving `stream` ("kws" unless told) from a broker's port."""

    def __init__(self, name, port, setup, stream='kws'):
        self.name = name
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(folder / 'notify'))
        command = {
            'python': [sys.executable, HERE / 'peer.py', setup.kws, port],
            'echo': [setup.root / 'target/release/examples/echo', port],
            'inferd': [setup.root / 'target/release/inferd', 'run', '--config', folder / 'inferd.toml'],
        }[name]
        if name == 'inferd':
            (folder / 'inferd.toml').write_text(CONFIG.format(
                port=port, models=setup.bundles, store=folder / 'store', stream=stream, payload=PAYLOADS[stream]))
        self.started = time.monotonic()
        super().__init__(command, NOTIFY_SOCKET=str(folder / 'notify'))
        self.said_ready = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Notes when `READY=1` comes."""
        while b'READY=1' not in self.notices.recv(4096).split(b'\n'):
            pass
        self.said_ready.put(time.monotonic() - self.started)

    def ready(self, timeout=10):
        """Seconds from start to `READY=1`; only inferd reports it."""
        return self.said_ready.get(timeout=timeout)


def wait_for(condition, process, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        process.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f'{process.child.args[0]} is not there after {seconds} s')
        time.sleep(0.01)


def reachable(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


def bundles(root, kws, folder):
    """A models folder for inferd: kws with a card, motion as shipped."""
    (folder / 'kws').mkdir(parents=True)
    shutil.copy(kws, folder / 'kws' / 'model.onnx')
    card = (root / 'tests/models/kws.toml').read_text()
    (folder / 'kws' / 'card.toml').write_text(card.replace('kind = "raw"\n', KWS_OUTPUT))
    shutil.copytree(root / 'models' / 'motion', folder / 'motion')
    # A queue in the broker is no silence of the device: its samples come late but in one piece.
    card = folder / 'motion' / 'card.toml'
    card.write_text(card.read_text().replace('max_gap = "1s"', 'max_gap = "1h"'))
    return folder
