"""What the measured lines come to: medians, ratios, the table, the plots.

A ratio is the median of the ratios of single rounds, in which both were measured within seconds of
each other. So it need not be the ratio of the medians to the last digit.
"""

import csv
import json
import statistics

FRAMEWORKS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}
COMPILED = {"default": "compile()", "jit_compile": "compile(jit_compile=True)"}
COLOURS = {
    "layer_api": "#2b5c8a",
    "tfp.layers": "#b5442e",
    "keras-proba": "#3c8d5a",
    "bayesian-torch": "#b08a2e",
    "Keras Dense": "#555555",
    "tf_keras Dense": "#aaaaaa",
    "torch Linear": "#aaaaaa",
}
# Of the draws of answers: how many times as long as their floor ours may take, at most.
TARGETS = {
    ("784-512-512-10", 1000): {"tensorflow": 1.4, "jax": 1.25, "torch": 1.6},
    ("784-512-512-10", 32): {"tensorflow": 4, "jax": 3.3, "torch": 4},
    ("1-64-64-2", 200): {"tensorflow": 0.01, "jax": 0.01, "torch": 0.01},
}
SWEEPS = {
    "width": "width of the layer, batch 128",
    "batch": "batch, one layer of 512",
    "depth": "layers of 64, batch 32",
}


def write(folder, lines):
    """Write all that the lines of the measuring programs say into a folder; return it as text."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.csv"), *folder.glob("*.png")]:
        old.unlink()
    raw = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "lines.jsonl").write_text(raw, encoding="utf-8")

    of_draws = draws([line for line in lines if "draws" in line])
    of_steps = [line for line in lines if "draws" not in line]
    steps = summarize([line for line in of_steps if "seconds" in line])
    of_memory = memory([line for line in of_steps if "megabytes" in line])
    of_r = from_r([line for line in lines if "task" in line])
    of_depth = overheads(steps)
    versions = {}
    for line in lines:
        versions |= line.get("versions", {})
    files = {
        "steps": steps,
        "draws": of_draws,
        "memory": of_memory,
        "overheads": of_depth,
        "from_r": of_r,
        "left_out": [{"left_out": line["left_out"]} for line in lines if "left_out" in line],
        "versions": [{"name": name, "version": version} for name, version in versions.items()],
    }
    for name, rows in files.items():
        write_csv(folder / f"{name}.csv", rows)
    if any(row["sweep"] == "table" for row in steps):
        plot_table(folder / "steps.png", steps)
    if any(row["sweep"] in SWEEPS for row in steps):
        plot_growth(folder / "growth.png", steps)

    title = "Milliseconds for a step (as a multiple of the ordinary layer's of the same library)"
    compared = "Compared: " + ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [title, text(steps)]
    parts += [text_of_parts(steps)] if any(row["sweep"] == "parts" for row in steps) else []
    parts += [text_of_draws(of_draws)] if of_draws else []
    parts += [text_of_memory(of_memory)] if of_memory else []
    parts += [text_of_overheads(of_depth)] if of_depth else []
    parts += [text_from_r(of_r)] if of_r else []
    missing = len(files["left_out"])
    parts += [f"Left out: {missing}; left_out.csv says what, and why"] if missing else []
    return "\n\n".join([*parts, compared])


def summarize(lines):
    """Return a row for each contender and kind of work: medians, ratios to floor and to peer."""
    rows = []
    for group in _groups(lines, "framework", "compile", "work", "sweep", "at"):
        by_name = {line["contender"]: line for line in group}
        peers = [line for line in group if line["role"] == "peer"]
        fastest = min(peers, key=_median, default=None)
        for line in group:
            row = {k: v for k, v in line.items() if k not in ("seconds", "floor")}
            row["milliseconds"] = 1e3 * _median(line)
            row["least"], row["most"] = 1e3 * min(line["seconds"]), 1e3 * max(line["seconds"])
            row["rounds"] = len(line["seconds"])
            floor = by_name.get(line["floor"])
            row["ratio"] = _ratio(line, floor) if floor else None
            is_held = line["role"] == "ours" and fastest is not None
            row["fastest_peer"] = fastest["contender"] if is_held else None
            row["ratio_to_peer"] = _ratio(line, fastest) if is_held else None
            rows.append(row)
    return rows


def times_ours(lines):
    """Return by framework, compile and contender how many times ours a step takes, at most."""
    most = {}
    for group in _groups(lines, "framework", "compile", "work", "at"):
        ours = next(line for line in group if line["role"] == "ours")
        for line in group:
            if line["role"] != "floor":
                key = line["framework"], line["compile"], line["contender"]
                most[key] = max(most.get(key, 0), _ratio(line, ours))
    return most


def _median(line):
    return statistics.median(line["seconds"])


def _ratio(line, other):
    # Who is slow takes part in the first rounds only.
    pairs = zip(line["seconds"], other["seconds"], strict=False)
    return statistics.median(one / two for one, two in pairs)


def _groups(lines, *keys):
    """Return lists of the lines that agree in `keys`, in the order of their first lines."""
    groups = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in keys), []).append(line)
    return list(groups.values())


def overheads(rows):
    """Return what a small layer adds to a step, and what a step takes without any, by depth.

    A straight line through time against depth; milliseconds.
    """
    deep = [row for row in rows if row["sweep"] == "depth"]
    found = []
    for group in _groups(deep, "framework", "compile", "contender"):
        depths, times = [row["at"] for row in group], [row["milliseconds"] for row in group]
        if len(group) < 2:
            continue
        line = statistics.linear_regression(depths, times)
        kept = {key: group[0][key] for key in ("framework", "compile", "contender", "role")}
        found.append({**kept, "per_layer": line.slope, "per_step": line.intercept})
    return found


def memory(lines):
    """Return the lines of `memory.py`, ours with the ratio to the peer that takes least."""
    rows = []
    for group in _groups(lines, "framework", "compile", "work"):
        peers = [line for line in group if line["role"] == "peer"]
        least = min(peers, key=lambda line: line["megabytes"], default=None)
        for line in group:
            is_held = line["role"] == "ours" and least is not None
            rows.append(
                {
                    **line,
                    "least_peer": least["contender"] if is_held else None,
                    "ratio_to_peer": line["megabytes"] / least["megabytes"] if is_held else None,
                }
            )
    return rows


def draws(lines):
    """Return a row for each way to draw: seconds for all draws, ratio to the floor, memory."""
    rows = []
    megabytes = {_place(line): line["megabytes"] for line in lines if "megabytes" in line}
    timed = [line for line in lines if "seconds" in line]
    for group in _groups(timed, "framework", "network", "rows"):
        by_name = {line["contender"]: line for line in group}
        for line in group:
            row = {k: v for k, v in line.items() if k not in ("seconds", "floor")}
            row["seconds"] = _median(line)
            row["rounds"] = len(line["seconds"])
            row["ratio"] = _ratio(line, by_name[line["floor"]])
            targets = TARGETS.get((line["network"], line["rows"]), {})
            row["target"] = targets.get(line["framework"]) if line["role"] == "ours" else None
            row["megabytes"] = megabytes.get(_place(line))
            rows.append(row)
    return rows


def _place(line):
    return line["framework"], line["contender"], line.get("network"), line["rows"], line["draws"]


def from_r(lines):
    """Return what every task takes from R and from Python, and the ratio of the two.

    The least of the rounds, by the clock and by processors: the task is the same in each, and what
    a round takes more than another is none of it. In some epochs TensorFlow waits half a second,
    whoever calls `fit()`.
    """
    rows = []
    for line in lines:
        least = {key: min(line[key]) for key in ("r", "python", "r_cpu", "python_cpu")}
        rows.append(
            {
                "task": line["task"],
                "layers": line["layers"],
                "seconds_r": least["r"],
                "seconds_python": least["python"],
                "ratio": least["r"] / least["python"],
                "cpu_ratio": least["r_cpu"] / least["python_cpu"],
                "difference": least["r"] - least["python"],
                "cpu_difference": least["r_cpu"] - least["python_cpu"],
                # Of the result, in R, while it is made: only where that is all there is to do.
                "copies": statistics.median(line["copies"]) if "copy" in line["task"] else None,
                "rounds": len(line["r"]),
            }
        )
    return rows


def text(rows):
    """Return the table as text: a block for each framework and way to compile."""
    blocks = []
    for block in _groups([r for r in rows if r["sweep"] == "table"], "framework", "compile"):
        names = list(dict.fromkeys(row["contender"] for row in block))
        title = f"{FRAMEWORKS[block[0]['framework']]}, {COMPILED[block[0]['compile']]}"
        lines = [[title, *names, "ours / fastest peer"]]
        for group in _groups(block, "work", "at"):
            by_name = {row["contender"]: row for row in group}
            cells = [_cell(by_name.get(name)) for name in names]
            ours = next((row for row in group if row["ratio_to_peer"]), None)
            last = f"{ours['ratio_to_peer']:.2f} ({ours['fastest_peer']})" if ours else ""
            lines.append([f"{group[0]['work']}, batch {group[0]['batch']}", *cells, last])
        blocks.append(aligned(lines))
    return "\n\n".join(blocks)


def _cell(row):
    if row is None:
        return "-"
    ratio = f" ({row['ratio']:.1f})" if row["ratio"] and row["role"] != "floor" else ""
    return f"{row['milliseconds']:.1f}{ratio}"


def text_of_parts(rows):
    """Return what ours adds to the ordinary layer, one thing after the other, as text."""
    blocks = []
    parts = [row for row in rows if row["sweep"] == "parts"]
    for block in _groups(parts, "framework", "compile"):
        batches = _groups(block, "batch")
        place = f"{FRAMEWORKS[block[0]['framework']]}, {COMPILED[block[0]['compile']]}"
        title = f"{place}: what a step is made of"
        lines = [[title, *(f"batch {batch[0]['batch']}" for batch in batches)]]
        for group in _groups(block, "contender"):
            lines.append([group[0]["contender"], *map(_cell, group)])
        blocks.append(aligned(lines))
    return "\n\n".join(blocks)


def text_of_draws(rows):
    """Return the tables of draws of answers as text, one for each network."""
    blocks = []
    for block in _groups(rows, "network"):
        of_rows = _groups(block, "rows")
        title = f"Seconds for {block[0]['draws']} draws of {block[0]['network']}"
        has_memory = any(row["megabytes"] for row in block)
        memory = ["peak, MB"] if has_memory else []
        lines = [[title, *(f"{each[0]['rows']} rows" for each in of_rows), *memory]]
        for group in _groups(block, "framework", "contender"):
            by_rows = {row["rows"]: row for row in group}
            cells = [_cell_of_draws(by_rows.get(each[0]["rows"])) for each in of_rows]
            peak = next((row["megabytes"] for row in group if row["megabytes"]), None)
            cells += [f"{peak:.0f}" if peak else "-"] if has_memory else []
            lines.append([f"{FRAMEWORKS[group[0]['framework']]}: {group[0]['contender']}", *cells])
        blocks.append(aligned(lines))
    return "\n\n".join(blocks)


def _cell_of_draws(row):
    if row is None:
        return "-"
    if row["role"] == "floor":
        return f"{row['seconds']:.2f}"
    target = f"; target {row['target']:g}" if row["target"] else ""
    return f"{row['seconds']:.2f} ({row['ratio']:.3g}{target})"


def text_of_memory(rows):
    """Return the table of memory as text."""
    works = _groups(rows, "work", "batch")
    lines = [
        ["Peak memory of a step, MB", *(f"{w[0]['work']}, batch {w[0]['batch']}" for w in works)]
    ]
    for group in _groups(rows, "framework", "compile", "contender"):
        first = group[0]
        place = f"{FRAMEWORKS[first['framework']]}, {COMPILED[first['compile']]}"
        lines.append([f"{place}: {first['contender']}", *map(_megabytes, group)])
    return aligned(lines)


def _megabytes(row):
    ratio = row["ratio_to_peer"]
    return f"{row['megabytes']:.0f}" + (f" ({ratio:.2f} of {row['least_peer']})" if ratio else "")


def text_of_overheads(rows):
    """Return the table of overheads as text."""
    lines = [["Constant cost, ms", "for a small layer", "for a step"]]
    for row in rows:
        place = f"{FRAMEWORKS[row['framework']]}: {row['contender']}"
        lines.append([place, f"{row['per_layer']:.2f}", f"{row['per_step']:.2f}"])
    return aligned(lines)


def text_from_r(rows):
    """Return the table of costs from R as text."""
    lines = [["Seconds", "from R", "from Python", "R / Python", "by processor time", "copies"]]
    for row in rows:
        times = [f"{row['seconds_r']:.3f}", f"{row['seconds_python']:.3f}"]
        ratios = [f"{row['ratio']:.3f}", f"{row['cpu_ratio']:.3f}"]
        copies = "" if row["copies"] is None else f"{row['copies']:.1f}"
        lines.append([row["task"], *times, *ratios, copies])
    return aligned(lines)


def aligned(lines):
    """Return lines of cells as text in columns: the first at the left, the others at the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first = widths[0]
    return "\n".join(
        "  ".join([line[0].ljust(first), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def write_csv(path, rows):
    """Write rows that are dictionaries; nothing where there are none."""
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def plot_table(path, rows):
    """Draw the ratio of every contender to its floor, a line for each kind of work."""
    shown = [r for r in rows if r["sweep"] == "table" and r["role"] != "floor" and r["ratio"]]
    blocks = _groups(shown, "framework", "compile")
    heights = [len(_groups(block, "work", "at")) for block in blocks]
    figure, axes = subplots(
        len(blocks),
        1,
        figsize=(8, 0.9 + sum(0.27 * n + 0.4 for n in heights)),
        height_ratios=[n + 0.4 for n in heights],
        sharex=True,
    )
    for axis, block in zip(axes[:, 0], blocks, strict=True):
        groups = _groups(block, "work", "at")
        for y, group in enumerate(groups):
            axis.axhline(y, color="#dddddd", linewidth=0.8, zorder=0)
            for row in group:
                ours = row["role"] == "ours"
                axis.plot(
                    row["ratio"],
                    y,
                    "o",
                    color=COLOURS[row["contender"]],
                    markersize=8 if ours else 6,
                    zorder=3 if ours else 2,
                    label=row["contender"],
                )
        axis.set_yticks(
            range(len(groups)), [f"{g[0]['work']}, batch {g[0]['batch']}" for g in groups]
        )
        axis.set_ylim(len(groups) - 0.4, -0.6)
        title = f"{FRAMEWORKS[block[0]['framework']]}, {COMPILED[block[0]['compile']]}"
        axis.set_title(title, loc="left", fontsize=10)
        _log_axis(axis.xaxis)
        axis.tick_params(length=0)
        axis.axvline(1, color="#555555", linewidth=1, zorder=1)
    axes[-1, 0].set_xlim(left=0.95)
    axes[-1, 0].set_xlabel("time of a step, as a multiple of the ordinary layer's")
    _legend(figure, axes)
    figure.savefig(path, dpi=144)


def plot_growth(path, rows):
    """Draw time against width, batch and depth, a line of plots for each framework."""
    grown = [row for row in rows if row["sweep"] in SWEEPS]
    frameworks = _groups(grown, "framework")
    figure, axes = subplots(
        len(frameworks), 3, figsize=(9, 0.9 + 2.4 * len(frameworks)), sharex="col"
    )
    for line, of_framework in zip(axes, frameworks, strict=True):
        for axis, sweep in zip(line, SWEEPS, strict=True):
            of_sweep = [row for row in of_framework if row["sweep"] == sweep]
            of_sweep.sort(key=lambda row: row["at"])
            if not of_sweep:
                axis.set_axis_off()
                axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
                continue
            for group in _groups(of_sweep, "contender"):
                ours = group[0]["role"] == "ours"
                axis.plot(
                    [row["at"] for row in group],
                    [row["milliseconds"] for row in group],
                    "--" if group[0]["role"] == "floor" else "-",
                    marker="o",
                    markersize=3.5,
                    linewidth=2 if ours else 1.2,
                    zorder=3 if ours else 2,
                    color=COLOURS[group[0]["contender"]],
                    label=group[0]["contender"],
                )
            _log_axis(axis.xaxis)
            _log_axis(axis.yaxis)
            at = sorted({row["at"] for row in of_sweep})
            axis.set_xticks(at, [str(n) for n in at])
            axis.grid(color="#e8e8e8", linewidth=0.8)
        title = f"{FRAMEWORKS[of_framework[0]['framework']]}, ms for a step"
        line[0].set_title(title, loc="left", fontsize=9)
    for axis, described in zip(axes[-1], SWEEPS.values(), strict=True):
        axis.set_xlabel(described)
    _legend(figure, axes)
    figure.savefig(path, dpi=144)


def subplots(*args, height_ratios=None, **options):
    """Return a figure and its axes, drawn without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    ratios = {"height_ratios": height_ratios} if height_ratios else {}
    return plt.subplots(*args, squeeze=False, layout="constrained", gridspec_kw=ratios, **options)


def _log_axis(axis):
    from matplotlib import ticker

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def _legend(figure, axes):
    found = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    names = [name for name in COLOURS if name in found]
    handles = [found[name] for name in names]
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=len(names),
        columnspacing=1.2,
        handlelength=1.6,
        frameon=False,
    )
