"""Random values of three channels, and what pandas makes of them.

    oracle.py make METHOD COUNT SEED FILE        writes values in the order of their arrival
    oracle.py check METHOD STEP HOLD TAKEN MADE  compares; prints the counts of rows, of windows, and
                                                 of rows and windows that differ

A value is a row of three numbers of 8 bytes: channel (integer), time in microseconds (integer) and
number (float). A made row is its time (integer) and the numbers of the channels (floats). Numbers
are random walks. Values come with jitter, some are lost, and they arrive late by up to 0.8 s: in any
order for the method "previous", each channel in its own order for "linear".
"""

import sys

import numpy
import pandas

CHANNELS = 3
WINDOW = 10
START = 1_795_341_600_000_000


def make(method, count, seed, path):
    random = numpy.random.default_rng(seed)
    parts = []
    for channel, period in enumerate([70_000, 110_000, 430_000]):
        share = int(count * (1 / period) / (1 / 70_000 + 1 / 110_000 + 1 / 430_000)) + 1
        times = START + numpy.arange(share) * period
        times += random.integers(-period // 3, period // 3, share)
        # Some values are at the very time of a point, some at the same time as another.
        times = numpy.where(random.random(share) < 0.1, times // 100_000 * 100_000, times)
        times = numpy.sort(times)
        times = numpy.where(random.random(share) < 0.02, numpy.roll(times, 1), times)
        times[0] = START
        # Single values are lost, and from time to time everything for seconds.
        there = random.random(share) > 0.05
        there &= numpy.sin(times / 7e6 + channel) < 0.97
        values = numpy.cumsum(random.normal(size=share))
        arrivals = times + random.integers(0, 800_000, share)
        if method == "linear":
            times = numpy.maximum.accumulate(times)
            arrivals = numpy.maximum.accumulate(arrivals)
        frame = pandas.DataFrame({"arrival": arrivals, "channel": channel, "time": times, "value": values})
        parts.append(frame[there])
    every = pandas.concat(parts).sort_values("arrival", kind="stable")
    record = every[["channel", "time", "value"]].to_records(index=False)
    numpy.asarray(record).astype([("c", "<i8"), ("t", "<i8"), ("v", "<f8")]).tofile(path)


def look_up(frame, points, method, hold):
    """The value of a channel at each point."""
    frame = frame.sort_values("time", kind="stable")
    back = pandas.merge_asof(points, frame.rename(columns={"value": "v"}).assign(before=frame.time),
                             on="time", tolerance=hold if method == "previous" else None)
    if method == "previous":
        return back.v.to_numpy()
    # Of equal times, the last one counts before a point and the first one after it.
    first = frame.drop_duplicates("time", keep="first")
    ahead = pandas.merge_asof(points, first.rename(columns={"value": "v"}).assign(after=first.time),
                              on="time", direction="forward", allow_exact_matches=False)
    span = (ahead.after - back.before).to_numpy()
    slope = (ahead.v - back.v).to_numpy() / span
    value = slope * (points.time - back.before).to_numpy() + back.v.to_numpy()
    value = numpy.where(span <= hold, value, numpy.nan)
    return numpy.where(back.before == points.time, back.v, value)


def windows(times, rows, step):
    """Each window of rows that are one step apart, by the time of its last row."""
    after = numpy.concatenate([[False], numpy.diff(times) == step])
    run = numpy.zeros(len(times), dtype=int)
    for place in range(1, len(times)):
        run[place] = run[place - 1] + 1 if after[place] else 0
    ends = numpy.flatnonzero(run >= WINDOW - 1)
    return {int(times[end]): rows[end - WINDOW + 1 : end + 1].tobytes() for end in ends}


def check(method, step, hold, taken, made):
    taken = pandas.DataFrame(numpy.fromfile(taken, [("channel", "<i8"), ("time", "<i8"), ("value", "<f8")]))
    made = numpy.fromfile(made, [("time", "<i8"), ("values", "<f8", CHANNELS)])
    first = -(-int(taken.time.min()) // step)
    points = pandas.DataFrame({"time": numpy.arange(first, made["time"][-1] // step + 1) * step})
    columns = [look_up(taken[taken.channel == channel][["time", "value"]], points, method, hold)
               for channel in range(CHANNELS)]
    rows = numpy.stack(columns, axis=1)
    whole = ~numpy.isnan(rows).any(axis=1)
    expected_times, expected = points.time.to_numpy()[whole], rows[whole]
    want = {int(time): row.tobytes() for time, row in zip(expected_times, expected)}
    have = {int(time): row.tobytes() for time, row in zip(made["time"], made["values"])}
    differ = len(want.items() ^ have.items())
    want_windows = windows(expected_times, expected, step)
    have_windows = windows(made["time"], made["values"], step)
    print(len(have), len(have_windows), differ, len(want_windows.items() ^ have_windows.items()))


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
else:
    check(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6])
