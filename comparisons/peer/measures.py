"""What is measured, each against a broker of its own: saturation, latency, start, loss, windows by key."""
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from subjects import HERE, Broker, Subject
from wire import Wire, publish_parts

OUTSTANDING = 200       # inputs without an answer, at saturation
KWS_BYTES = 490


class Load:
    """Sends inputs and counts the answers. `at` holds when an input of a device was sent, where that is wanted."""

    def __init__(self, port, stream='kws', answers=None):
        self.stream, self.answered, self.probed, self.base, self.at, self.took = stream, 0, 0, 0, {}, []
        self.wire = Wire(port, 'load', answers or f'predictions/{stream}/+', self.answer)

    def answer(self, topic, _):
        device = topic.rsplit('/', 1)[1]
        if device == 'probe':
            self.probed += 1
            return
        self.answered += 1
        sent = self.at.pop(device, None)
        if sent is not None:
            self.took.append(time.monotonic() - sent)

    def wait_ready(self, subject, payload=bytes(KWS_BYTES), seconds=30):
        """Probes with `payload` until an answer comes; returns when."""
        probe = publish_parts(f'sensors/probe/{self.stream}', payload)
        deadline = time.monotonic() + seconds
        while not self.probed:
            subject.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f'{subject.name}: no answer after {seconds} s')
            self.wire.queue(probe)
            self.wire.pump(0)
            time.sleep(0.002)
            self.wire.pump(0)
        when = time.monotonic()
        self.settle(0.5)
        self.base = self.wire.sent
        return when

    def waiting(self):
        return self.wire.sent - self.answered - self.base

    def settle(self, seconds):
        """Receives until nothing has come for so long."""
        last, count = time.monotonic(), self.answered + self.probed
        while time.monotonic() - last < seconds:
            self.wire.pump(0.05)
            if self.answered + self.probed != count:
                last, count = time.monotonic(), self.answered + self.probed


def inputs(devices, stream='kws'):
    """One prepared publish per device, random payloads of the model's size."""
    rng = random.Random(1)
    payloads = [rng.randbytes(KWS_BYTES) for _ in range(64)]
    return [publish_parts(f'sensors/d{d}/{stream}', payloads[d % 64]) for d in range(devices)]


def own_cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Saturation:
    rate: float         # answers a second
    cpu_us: float       # of the subject, per answer
    broker: float       # share of one core
    load: float         # share of one core
    lost: int           # inputs without an answer once all is quiet
    peak: int           # bytes


def saturation(name, setup, devices, seconds):
    """As many inputs as are answered, OUTSTANDING at most on the way."""
    with Broker() as broker, Subject(name, broker.port, setup) as subject:
        load, parts, turn = Load(broker.port), inputs(devices), 0
        load.wait_ready(subject)
        begin = None
        start = time.monotonic()
        while True:
            for _ in range(min(load.wire.room(), OUTSTANDING - load.waiting())):
                load.wire.queue(parts[turn])
                turn = (turn + 1) % devices
            load.wire.pump(0.1)
            now = time.monotonic()
            if begin is None and now - start > 2:       # warm
                begin = now, load.answered, subject.cpu(), broker.cpu(), own_cpu()
            if begin and now - begin[0] >= seconds:
                break
        spent, count = now - begin[0], load.answered - begin[1]
        used = subject.cpu() - begin[2], broker.cpu() - begin[3], own_cpu() - begin[4]
        load.settle(1)
        return Saturation(count / spent, used[0] / max(count, 1) * 1e6, used[1] / spent, used[2] / spent,
                          load.waiting(), subject.peak())


def ceiling(seconds):
    """What the load and the broker carry with no subject between: the load subscribes to its own inputs."""
    with Broker() as broker:
        load, parts = Load(broker.port, answers='sensors/+/kws'), inputs(10)
        begin, cpu = time.monotonic(), (broker.cpu(), own_cpu())
        while time.monotonic() - begin < seconds:
            for i in range(min(load.wire.room(), OUTSTANDING - load.waiting())):
                load.wire.queue(parts[i % 10])
            load.wire.pump(0.1)
        return load.answered / seconds, (broker.cpu() - cpu[0]) / seconds, (own_cpu() - cpu[1]) / seconds


def latency(name, setup, rate, seconds):
    """Milliseconds (p50, p99) from handing an input to the kernel to reading its answer, at a steady rate."""
    devices = 5 * rate      # each device has its turn every 5 s
    with Broker() as broker, Subject(name, broker.port, setup) as subject:
        load, parts = Load(broker.port), inputs(devices)
        load.wait_ready(subject)
        begin = time.monotonic()
        for i in range(rate * (seconds + 1)):
            due = begin + i / rate
            while (wait := due - time.monotonic()) > 0:
                load.wire.pump(wait)
            if i == rate:           # the first second warms
                load.took.clear()
            load.wire.queue(parts[i % devices])
            load.at[f'd{i % devices}'] = time.monotonic()
            load.wire.pump(0)
        load.settle(1)
        cuts = statistics.quantiles(load.took, n=100)
        return cuts[49] * 1e3, cuts[98] * 1e3, subject.peak()


def start(name, setup, times=5):
    """Milliseconds from exec to READY=1 (inferd only) and to the first answer: medians."""
    ready, first = [], []
    for _ in range(times):
        with Broker() as broker:
            load = Load(broker.port)
            with Subject(name, broker.port, setup) as subject:
                first.append(load.wait_ready(subject) - subject.started)
                if name == 'inferd':
                    ready.append(subject.ready())   # noted when it came
    return statistics.median(ready) * 1e3 if ready else None, statistics.median(first) * 1e3


def model_alone(name, setup):
    """Microseconds of one model run by itself: CPU time for ONNX Runtime, `inferd bench` for inferd."""
    if name == 'python':
        return float(subprocess.check_output([sys.executable, HERE / 'peer.py', setup.kws, '--time']))
    if name == 'inferd':
        return json.loads(subprocess.check_output(
            [setup.root / 'target/release/inferd', 'bench', setup.kws, '--json']))['median_us']
    return 0.0


@dataclass
class Loss:
    sent: int           # acknowledged by the broker
    distinct: int       # inputs with an answer
    received: int       # answers, repeated ones too
    missing: list       # some that have none
    overload: float     # inputs a second over answers a second, while inputs were sent
    seconds: float      # until the last answer


def loss(name, setup, rate, seconds):
    """Inputs at `rate` for `seconds`, each from a device of its own so that its answer can be told from the others;
    then as long as answers come. Counted by a paho-mqtt client in another process (counter.py)."""
    with Broker() as broker, Subject(name, broker.port, setup) as subject:
        probe = Load(broker.port)
        probe.wait_ready(subject)
        probe.wire.close()
        load = Load(broker.port, answers='bench/none')
        counter = subprocess.Popen([sys.executable, HERE / 'counter.py', str(broker.port), 'predictions/kws/+'],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ask = lambda word: (print(word, file=counter.stdin, flush=True), json.loads(counter.stdout.readline()))[1]
        ask('count')
        rng = random.Random(1)
        payloads = [rng.randbytes(KWS_BYTES) for _ in range(64)]
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < seconds:
            for _ in range(min(load.wire.room(), int(rate * now) - load.wire.sent)):
                i = load.wire.sent
                load.wire.queue(publish_parts(f'sensors/m{i}/kws', payloads[i % 64]))
            load.wire.pump(0.001)
        meanwhile = ask('count')['received']
        overload = load.wire.sent / max(meanwhile, 1)
        while load.wire.acknowledged < load.wire.sent:
            load.wire.pump(0.1)
        last, quiet = -1, 0
        while quiet < 15:
            subject.check()
            time.sleep(1)
            count = ask('count')
            quiet = quiet + 1 if count['received'] == last else 0
            last = count['received']
            if count['distinct'] >= load.wire.sent and quiet >= 2:
                break
        spent = time.monotonic() - begin - quiet
        found = ask(f'missing {load.wire.sent}')
        counter.stdin.close()
        counter.wait()
        return Loss(load.wire.sent, found['distinct'], found['received'], found['missing'], overload, spent)


def windows_by_key(setup, counts, inputs, rounds):
    """`window_cost` for each number of devices in turn: the least of the rounds, each."""
    found = [[window_cost(setup, devices, inputs) for devices in counts] for _ in range(rounds)]
    return [min(costs) for costs in zip(*found)]


def window_cost(setup, devices, inputs):
    """CPU microseconds of inferd per input for a windowed stream (motion: 40 steps, hop 10) of so many devices.

    First each device sends one array of 40 to 49 samples, so that it has a full window and the devices complete
    their next ones evenly: from then on every tenth input, one sample each, has an answer, however many they are.
    """
    rows = (setup.root / 'models/recordings/basic-motions-test.csv').read_text().splitlines()[1:]
    samples = [json.dumps(dict(zip(('ax', 'ay', 'az', 'gx', 'gy', 'gz'), map(float, r.split(',')[3:])))) for r in rows]
    sample = lambda device, step: samples[device % 40 * 100 + step % 100]
    begin = lambda i: '[' + ','.join(sample(i, step) for step in range(40 + i % 10)) + ']'
    later = lambda i: sample(i % devices, 40 + i // devices)
    with Broker() as broker, Subject('inferd', broker.port, setup, 'motion') as subject:
        load = Load(broker.port, 'motion')
        load.wait_ready(subject, begin(0).encode())
        closed_loop(load, subject, devices, devices, 1, begin)
        closed_loop(load, subject, inputs // 10, devices, 10, later)    # warm, and whole rounds of phases
        cpu = subject.cpu()
        closed_loop(load, subject, inputs, devices, 10, later)
        return (subject.cpu() - cpu) / inputs * 1e6


def closed_loop(load, subject, count, devices, each, payload):
    """Sends `count` inputs of which every `each`-th has an answer, OUTSTANDING at most on the way, and waits for all."""
    first, answered = load.wire.sent, load.answered
    last = time.monotonic(), answered
    while load.answered - answered < count // each:
        sent = load.wire.sent - first
        for i in range(sent, min(count, each * (load.answered - answered) + OUTSTANDING, sent + load.wire.room())):
            load.wire.queue(publish_parts(f'sensors/d{i % devices}/motion', payload(i).encode()))
        load.wire.pump(0.1)
        if load.answered != last[1]:
            last = time.monotonic(), load.answered
        if time.monotonic() - last[0] > 30:
            subject.check()
            raise RuntimeError(f'motion: {load.answered - answered} of {count // each} answers, then none for 30 s')
