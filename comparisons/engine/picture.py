"""The result as an SVG picture: one group of bars per model, time relative to the faster peer."""

NAMES = {"inferd": "inferd", "onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
WIDTH, LABEL, BAR, GAP = 760, 150, 13, 12
# No bar is drawn longer than this many times the faster peer.
MOST = 3.0

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .note { fill: #57606a }
  .line { stroke: #57606a; stroke-dasharray: 3 3 }
  .inferd { fill: #c2410c } .onnxruntime { fill: #64748b } .litert { fill: #94a3b8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #8b949e } .line { stroke: #8b949e }
    .inferd { fill: #fb923c } .onnxruntime { fill: #94a3b8 } .litert { fill: #64748b }
  }"""


def bars(rows):
    rows = [r for r in rows if "ratio" in r]
    scale = (WIDTH - LABEL - 90) / MOST
    parts, y = [], 64
    for row in rows:
        best = min(us for name, us in row["us"].items() if name != "inferd")
        top = y
        for name, us in row["us"].items():
            length = min(us / best, MOST) * scale
            parts.append(f'<rect class="{name}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR - 2}"/>')
            more = " ..." if us / best > MOST else ""
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{y + 10}">{us:.1f} us{more}</text>')
            y += BAR
        middle = (top + y) / 2 + 3
        parts.append(f'<text x="{LABEL - 8}" y="{middle:.1f}" text-anchor="end">{row["model"]}</text>')
        y += GAP
    one = LABEL + scale
    head = [
        '<text class="title" x="8" y="20">Time of one run, one thread: shorter is better</text>',
        *(f'<rect class="{n}" x="{LABEL + 130 * i}" y="32" width="11" height="11"/>'
          f'<text x="{LABEL + 16 + 130 * i}" y="42">{NAMES[n]}</text>' for i, n in enumerate(NAMES)),
        f'<line class="line" x1="{one:.1f}" x2="{one:.1f}" y1="52" y2="{y}"/>',
        f'<text class="note" x="{one + 4:.1f}" y="56">the faster peer</text>',
    ]
    body = "\n  ".join(head + parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" role="img" '
            f'aria-label="Time of one run on inferd, ONNX Runtime and LiteRT">\n'
            f"  <style>{STYLE}\n  </style>\n  {body}\n</svg>\n")
