"""Fit 20 splits of two regression data sets, and print the scores beside published ones.

```
make truth
make truth QUIET=1
```

A table, CSV files and a plot go to `build/truth`.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import published
import report

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE.parent / "build" / "truth"
LOG = FOLDER / "log.txt"
# A network is so small that a second thread only waits for the first: splits are spread instead.
ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)
MOST_PROCESSES = 8  # each takes about 700 MB
SCORES = ("rmse", "log_likelihood", "crps", "coverage_50", "coverage_90")
# For Boston: at most this RMSE, and at least this log-likelihood.
GOALS = {"one network": (3.1, -2.55), "ensemble of five": (2.9, -2.45)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="print the tables alone")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    started = time.monotonic()

    def say(text):
        if not options.quiet:
            print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)

    lines = fit_all(say)
    say("the first network of the first split again, from R")
    differences = [difference_from_r(name, lines) for name in report_order(lines)]
    rows = summarize(lines)
    write(rows, lines)
    print("\n" + text(rows, lines))
    print(f"\nLargest difference of a score from R, same network: {max(differences):g}")
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s. CSV files and a plot are in {os.path.relpath(FOLDER)}.")
    if max(differences):
        sys.exit("The scores from R and from Python differ, and should not, under one seed.")


# --- Running -------------------------------------------------------------------------------------


def fit_all(say):
    """Return the lines of all splits, which as many processes as there are cores share."""
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    say(f"20 splits of each data set, in {processes} processes")
    done = collections.Counter()

    def fit(first):
        command = [sys.executable, HERE / "regression.py", FOLDER, str(first), str(processes)]
        lines = []
        for line in output_of(command):
            lines.append(json.loads(line))
            if lines[-1]["networks"] > 1:
                done[lines[-1]["data"]] += 1
                say(progress(lines[-1], done[lines[-1]["data"]]))
        return lines

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        return [line for lines in pool.map(fit, range(processes)) for line in lines]


def output_of(command):
    """Start a program and yield the lines that it prints; the log has its warnings."""
    environment = {**os.environ, **ENVIRONMENT}
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        yield from process.stdout
        if process.wait():
            sys.exit(f"{command[1].name} failed; what it printed is in {LOG}")


def progress(line, done):
    return (
        f"{line['data']} {done} of 20: split {line['split'] + 1}, "
        f"factor {line['factor']:g}: ensemble of five "
        f"RMSE {line['rmse']:.2f}, log-likelihood {line['log_likelihood']:.2f}"
    )


def difference_from_r(name, lines):
    """Return by how much the scores of the first network of a data set differ from R's."""
    command = ["Rscript", HERE / "regression.R", FOLDER / f"{name}.npz"]
    from_r = dict(line.split() for line in output_of(command))
    here = next(line for line in lines if line["data"] == name and line["split"] == 0)
    return max(abs(float(from_r[score]) - here[score]) for score in SCORES)


# --- What it comes to ----------------------------------------------------------------------------


def report_order(lines):
    """Return the names of the data sets, in the order of the published results."""
    names = {line["data"] for line in lines}
    return [
        name for name in dict.fromkeys(row.data for row in published.PUBLISHED) if name in names
    ]


def summarize(lines):
    """Return a row for each data set and method: means over splits, and their standard errors.

    What is said of one network is the mean over the networks of a split.
    """
    rows = []
    for name in report_order(lines):
        rows += [row._asdict() for row in published.PUBLISHED if row.data == name]
        for method in GOALS:
            of_splits = collections.defaultdict(list)
            for line in lines:
                if line["data"] == name and (line["networks"] == 1) == (method == "one network"):
                    of_splits[line["split"]].append(line)
            row = {"data": name, "method": method, "source": "here", "splits": len(of_splits)}
            for score in SCORES:
                values = [
                    statistics.fmean(line[score] for line in of_split)
                    for of_split in of_splits.values()
                ]
                row[score] = statistics.fmean(values)
                row[f"{score}_error"] = statistics.stdev(values) / len(values) ** 0.5
            rows.append(row)
    return rows


def write(rows, lines):
    """Write the tables and the plot."""
    report.write_csv(FOLDER / "networks.csv", sorted(lines, key=lambda line: line["data"]))
    columns = dict.fromkeys(key for row in rows for key in row)
    report.write_csv(FOLDER / "table.csv", [dict.fromkeys(columns, "") | row for row in rows])
    plot(FOLDER / "truth.png", rows)


def text(rows, lines):
    """Return the tables, what was chosen and whether the goals are reached."""
    blocks = [
        "Means over 20 splits, 90% of the rows for training, and their standard errors.\n"
        "The splits are those that the code of MC dropout makes, PBP's as well by what it says.\n"
        "The weight of the divergence is chosen for each split on its training rows alone."
    ]
    for name in report_order(lines):
        of_data = [row for row in rows if row["data"] == name]
        cells = [[name, "RMSE", "log-likelihood", "CRPS", "in 50% interval", "in 90% interval"]]
        cells += [[row["method"], *(_cell(row, score) for score in SCORES)] for row in of_data]
        blocks += [report.aligned(cells), _chosen(name, lines)]
        if name == "Boston":
            blocks.append("\n".join(_goal(row) for row in of_data if row["method"] in GOALS))
    sources = dict.fromkeys(row["source"] for row in rows if row["source"] != "here")
    blocks.append("Published figures:\n" + "\n".join(f"  {source}" for source in sources))
    return "\n\n".join(blocks)


def _cell(row, score):
    if score not in row:
        return ""
    if score.startswith("coverage"):
        return f"{row[score]:.1%} ± {row[f'{score}_error']:.1%}"
    return f"{row[score]:.2f} ± {row[f'{score}_error']:.2f}"


def _chosen(name, lines):
    of_splits = {line["split"]: line["factor"] for line in lines if line["data"] == name}
    chosen = sorted(collections.Counter(of_splits.values()).items())
    return "Chosen factors on the hidden layer's divergence: " + ", ".join(
        f"{factor:g} ({count} splits)" for factor, count in chosen
    )


def _goal(row):
    rmse, log_likelihood = GOALS[row["method"]]
    parts = [
        _verdict("RMSE", row["rmse"], "at most", rmse, row["rmse"] <= rmse),
        _verdict(
            "log-likelihood",
            row["log_likelihood"],
            "at least",
            log_likelihood,
            row["log_likelihood"] >= log_likelihood,
        ),
    ]
    return f"Goal, {row['method']}: " + "; ".join(parts)


def _verdict(what, value, bound, goal, is_reached):
    return f"{what} {bound} {goal:.2f}: {'reached' if is_reached else 'missed'} ({value:.3f})"


def plot(path, rows):
    """Draw RMSE and log-likelihood of each method, with their standard errors."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = report.subplots(len(names), 2, figsize=(8, 2.3 * len(names)), sharey="row")
    labels = {"rmse": "RMSE", "log_likelihood": "log-likelihood"}
    for of_name, name in zip(axes, names, strict=True):
        of_data = [row for row in rows if row["data"] == name]
        for axis, (score, label) in zip(of_name, labels.items(), strict=True):
            for y, row in enumerate(of_data):
                colour = "#2b5c8a" if row["source"] == "here" else "#888888"
                axis.errorbar(row[score], y, xerr=row[f"{score}_error"], fmt="o", color=colour)
            axis.set_yticks(range(len(of_data)), [row["method"] for row in of_data])
            axis.set_ylim(len(of_data) - 0.5, -0.5)
            axis.set_title(f"{name}, {label}", loc="left", fontsize=10)
            axis.grid(axis="x", color="#e8e8e8", linewidth=0.8)
            axis.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=144)


if __name__ == "__main__":
    main()
