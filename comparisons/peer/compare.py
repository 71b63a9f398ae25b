"""inferd beside the usual Python script and a bare echo. See ./run; the table is explained in README.md."""
import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import measures
from subjects import HERE, bundles, version

TITLES = {'python': 'Python (paho-mqtt + ONNX Runtime)', 'inferd': 'inferd', 'echo': 'rumqttc echo (no model)'}
RATE = 200


@dataclass
class Setup:
    root: Path
    kws: Path
    bundles: Path


@dataclass
class Found:
    """All that is known of one subject."""

    runs: dict = field(default_factory=lambda: {10: [], 10_000: []})    # saturation by number of devices
    model: float = 0.0
    latency: tuple = None
    start: tuple = None

    def middle(self, devices=10):
        """The run of the median rate."""
        return sorted(self.runs[devices], key=lambda r: r.rate)[len(self.runs[devices]) // 2]

    def cost(self, devices=10):
        """CPU us per answer: the least of the rounds, for what the machine does besides only ever adds."""
        return min(r.cpu_us for r in self.runs[devices])

    def outside(self):
        return self.cost() - self.model

    def peak(self):
        return max(r.peak for r in self.runs[10] + self.runs[10_000]) / 2**20


def say(*words):
    print(time.strftime('%H:%M:%S'), *words, file=sys.stderr, flush=True)


def measure(names, setup, rounds, seconds):
    """Each subject alone, taking turns, so that a slow minute of the machine meets them all."""
    found = {name: Found() for name in names}
    for name in names:
        say(name, 'model alone, start, latency')
        found[name].model = measures.model_alone(name, setup)
        found[name].start = measures.start(name, setup)
        found[name].latency = measures.latency(name, setup, RATE, 2 * seconds)
    for i in range(rounds):
        for name in names:
            for devices, runs in found[name].runs.items():
                runs.append(measures.saturation(name, setup, devices, seconds))
                say(name, f'round {i + 1}, {devices} devices:', runs[-1])
    return found


def table(found):
    row = lambda what, value: f'| {what} | ' + ' | '.join(value(f) for f in found.values()) + ' |'
    share = lambda f: f'{100 * f.middle().broker:.0f} / {100 * f.middle().load:.0f}'
    rates = lambda f: f'{f.middle().rate:,.0f} ({min(r.rate for r in f.runs[10]):,.0f}-{max(r.rate for r in f.runs[10]):,.0f})'
    return [
        '| | ' + ' | '.join(TITLES[name] for name in found) + ' |',
        '|---|' + '---|' * len(found),
        row('answers/s at saturation, median (range)', rates),
        row('CPU per answer (least of the rounds), us', lambda f: f'{f.cost():.0f}'),
        row('- the model run alone, us', lambda f: f'{f.model:.0f}' if f.model else '-'),
        row('- all the rest: link, decode, encode, us', lambda f: f'{f.outside():.0f}'),
        row(f'p50 / p99 at {RATE}/s, ms', lambda f: f'{f.latency[0]:.2f} / {f.latency[1]:.2f}'),
        row('peak RSS, MiB', lambda f: f'{f.peak():.1f}'),
        row('READY=1 after start, ms', lambda f: f'{f.start[0]:.0f}' if f.start[0] else '-'),
        row('first answer after start, ms', lambda f: f'{f.start[1]:.0f}'),
        row('CPU per answer with 10,000 devices (10), us', lambda f: f'{f.cost(10_000):.0f} ({f.cost():.0f})'),
        row('unanswered at saturation, inputs', lambda f: str(sum(r.lost for v in f.runs.values() for r in v))),
        row('busy meanwhile: broker / load, % of a core', share),
    ]


def extras(found, setup, a):
    """The parts that are not a column: ceiling, windows by key, loss."""
    say('ceiling of load and broker')
    rate, broker, load = measures.ceiling(a.seconds)
    lines = [f'Load and broker with nothing between: {rate:,.0f}/s (broker {100 * broker:.0f} %, load {100 * load:.0f} % of a core).']
    if 'inferd' not in found:
        return lines
    say('windows of 10 and of 10,000 devices')
    few, many = measures.windows_by_key(setup, (10, 10_000), a.window_inputs, a.rounds)
    lines.append(f'Windowed stream (motion, JSON samples), inferd CPU per input: {few:.1f} us with 10 devices, {many:.1f} us with '
                 f'10,000: ratio {many / few:.2f}.')
    target = 3 * found['inferd'].middle().rate
    say(f'loss: {target:.0f}/s for {a.loss_seconds} s')
    r = measures.loss('inferd', setup, target, a.loss_seconds)
    silent = r.sent - r.distinct
    lines.append(f'Overload, inferd: {r.sent:,} QoS 1 inputs in {a.loss_seconds} s, {r.overload:.1f} times what was answered meanwhile; '
                 f'{r.distinct:,} answered after {r.seconds:.0f} s, {silent:,} not (given up when no answer had come for 15 s), '
                 f'{r.received - r.distinct:,} answers repeated (counted by paho-mqtt).' + (f' First without: {r.missing}' if silent else ''))
    return lines + wanted(found, few, many, r)


def wanted(found, few, many, lost):
    """The aims, and whether this run meets them."""
    inferd = found['inferd']
    aims = [
        ('peak RSS at most 20 MiB', inferd.peak() <= 20),
        ('READY within 200 ms', inferd.start[0] <= 200),
        ('every QoS 1 input answered after 3 x overload', lost.sent == lost.distinct),
        ('the load was 2.5 x overload or more', lost.overload >= 2.5),
        ('windowed input at most 1.2 x as dear with 10,000 devices as with 10', many <= 1.2 * few),
        ('kws input at most 1.2 x as dear with 10,000 devices as with 10', inferd.cost(10_000) <= 1.2 * inferd.cost()),
    ]
    if 'python' in found:
        third = found['python'].outside() / 3
        aims.insert(0, (f'outside the model run at most a third of Python\'s ({third:.0f} us)', inferd.outside() <= third))
    return ['', 'Wanted:', ''] + [f'- {"met" if met else "**missed**"}: {aim}' for aim, met in aims]


def machine(root):
    model = next((l.split(':')[1].strip() for l in Path('/proc/cpuinfo').read_text().splitlines()
                  if l.startswith('model name')), platform.machine())
    commit = subprocess.run(['git', '-C', root, 'describe', '--always', '--dirty'], capture_output=True, text=True).stdout.strip()
    return (f'`comparisons/peer/run`, {time.strftime("%Y-%m-%d")}, commit {commit}, {model}, {os.cpu_count()} cores shared with {version()} '
            f'and load (load average {os.getloadavg()[0]:.1f} at the start).')


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--root', type=Path, required=True, help='the project')
    p.add_argument('--models', type=Path, help='folder with kws_int8.onnx (default: ../shared/models/mlperf-tiny)')
    p.add_argument('--only', default='python,inferd,echo', help='which, separated by commas')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=int, default=10, help='of each saturation run; latency runs twice as long')
    p.add_argument('--loss-seconds', type=int, default=60)
    p.add_argument('--window-inputs', type=int, default=300_000, help='samples measured on the windowed stream')
    p.add_argument('--quick', action='store_true', help='one round of 4 s, 15 s of overload: a smoke test, not a figure')
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds, a.loss_seconds, a.window_inputs = 1, 4, 15, 100_000
    kws = (a.models or a.root.parent / 'shared/models/mlperf-tiny') / 'kws_int8.onnx'
    if not kws.exists():
        sys.exit(f'{kws} is absent: get kws_int8.onnx (MLPerf Tiny v1) and name its folder with --models')
    head = machine(a.root)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(a.root, kws, bundles(a.root, kws, Path(folder, 'models')))
        found = measure(a.only.split(','), setup, a.rounds, a.seconds)
        lines = [head, '', *table(found), '', *extras(found, setup, a)]
    print('\n'.join(lines))
    (HERE / 'result.md').write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
