"""Writes statistics.json: random data with the statistics that scipy and numpy compute of it.

    python3 -m venv venv && venv/bin/pip install scipy==1.17.1 numpy==2.4.6 && venv/bin/python statistics.py
"""

import json
import math
from pathlib import Path

import numpy as np
from scipy import optimize, stats

random = np.random.default_rng(17)


def psi(expected, found):
    q = (expected + 0.5) / (expected + 0.5).sum()
    p = (found + 0.5) / (found + 0.5).sum()
    # The symmetric divergence as two relative entropies.
    return stats.entropy(p, q) + stats.entropy(q, p)


def cusum(values, k):
    """The largest sum of any run that ends at the last value, from all runs."""
    up = max(0.0, max(float((values[i:] - k).sum()) for i in range(len(values))))
    down = max(0.0, max(float((-values[i:] - k).sum()) for i in range(len(values))))
    return up, down


def siegmund(k, run_length):
    def excess(h):
        y = 2 * k * (h + 1.166)
        return math.expm1(y) - y - 2 * k * k * run_length

    return max(1.0, optimize.brentq(excess, -1.166, 60 / k, xtol=1e-13))


sets = []
for _ in range(100):
    bins = int(random.integers(2, 17))
    expected = random.integers(1, 1000, bins).astype(float)
    found = random.integers(0, 400, bins).astype(float)
    values = random.normal(random.uniform(-1, 1), 1, int(random.integers(5, 60)))
    k = float(random.uniform(0.1, 1.5))
    freedom, alpha = float(random.uniform(0.5, 40)), float(10 ** random.uniform(-9, -0.3))
    scaled = expected * found.sum() / expected.sum()
    sets.append(
        {
            "expected": expected.tolist(),
            "found": found.tolist(),
            "psi": float(psi(expected, found)),
            "chi_squared": float(stats.chisquare(found, scaled).statistic),
            "values": values.tolist(),
            "allowance": k,
            "cusum": cusum(values, k),
            "run_length": float(10 ** random.uniform(2, 9)),
            "freedom": freedom,
            "alpha": alpha,
            "chi_squared_quantile": float(stats.chi2.isf(alpha, freedom)),
            "normal_quantile": float(stats.norm.ppf(alpha)),
        }
    )
    sets[-1]["threshold"] = siegmund(k, sets[-1]["run_length"])

Path(__file__).with_name("statistics.json").write_text(
    "[\n" + ",\n".join(json.dumps(one) for one in sets) + "\n]\n"
)
