"""A plain SQLite queue (WAL, synchronous=FULL) under the same load as benches/store.rs."""
import os
import random
import sqlite3
import sys
import time

GROUP, DEPTH, CYCLES = 64, 1000, 20
directory, records = sys.argv[1], int(sys.argv[2])
path = os.path.join(directory, "queue.sqlite")
syncs = 0


def connect():
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS queue (seq INTEGER PRIMARY KEY, topic TEXT, payload BLOB)")
    return db


def figure(name, value):
    print(name, value, flush=True)


def proc(file, name):
    with open(file) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


def written():
    return proc("/proc/self/io", "write_bytes:")


def device():
    os.system(f"sync -f {directory}")
    number = os.stat(directory).st_dev
    with open(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat") as stat:
        return 512 * int(stat.read().split()[6])


def disk():
    return sum(os.stat(os.path.join(directory, f)).st_blocks * 512 for f in os.listdir(directory))


def push(db, seq):
    rows = [(seq + i + 1, f"predictions/motion/watch-{(seq + i) % 50}", random.randbytes(300)) for i in range(GROUP)]
    db.execute("BEGIN")
    db.executemany("INSERT INTO queue VALUES (?,?,?)", rows)
    db.execute("COMMIT")
    return GROUP * 300


def pop(db):
    last = db.execute("SELECT seq, topic, payload FROM queue ORDER BY seq LIMIT ?", (GROUP,)).fetchall()[-1][0]
    db.execute("DELETE FROM queue WHERE seq <= ?", (last,))


memory = proc("/proc/self/status", "VmRSS:")
db, seq = connect(), 0
flash = device()
before, started, size, depth = written(), time.time(), 0, 0
for _ in range(records // GROUP):
    size += push(db, seq)
    seq += GROUP
    depth += GROUP
    while depth > DEPTH:
        pop(db)
        depth -= GROUP
while depth > 0:
    pop(db)
    depth -= GROUP
figure("idle_rss", (proc("/proc/self/status", "VmRSS:") - memory) / 1e3)
figure("payload", 300)
figure("queue", seq / (time.time() - started))
figure("queue_amplification", (written() - before) / size)
figure("queue_device", (device() - flash) / size)
figure("syncs", 2 / GROUP)
flash = device()
before, start, size, started = written(), seq, 0, time.time()
while seq - start < records:
    size += push(db, seq)
    seq += GROUP
figure("append", (seq - start) / (time.time() - started))
figure("rss", (proc("/proc/self/status", "VmRSS:") - memory) / 1e3)
figure("disk_filled", disk() / 1e6)
db.close()
started = time.time()
db = connect()
db.execute("SELECT count(*) FROM queue").fetchall()
figure("open_ms", (time.time() - started) * 1e3)
started, left = time.time(), seq - start
while left > 0:
    pop(db)
    left -= GROUP
figure("drain", (seq - start) / (time.time() - started))
figure("fill_amplification", (written() - before) / size)
figure("fill_device", (device() - flash) / size)
depth = 0
for _ in range(CYCLES):
    for _ in range(records // 5 // GROUP):
        push(db, seq)
        seq += GROUP
        depth += GROUP
    while depth > 2 * GROUP:
        pop(db)
        depth -= GROUP
figure("disk_cycles", disk() / 1e6)
