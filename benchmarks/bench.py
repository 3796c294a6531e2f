"""Run the benchmark: all frameworks, one process each; tables and plots into build/bench.

```
make bench
make bench QUICK=1 QUIET=1
```
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

import report

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE.parent / "build" / "bench"
# What the frameworks print, with warnings of peers; shown only if a process fails.
LOG = FOLDER / "log.txt"

# What is measured, in this order, and the minutes that each may take; so that all together takes
# less than four if quick, which is the first, draws and what is from R, and less than twelve and a
# half if not, on a busy machine as well.
LIMITS = {
    "quick": {"tensorflow": 0.65, "jax": 0.25, "torch": 0.25},
    "table": {"tensorflow": 1.9, "jax": 1.0, "torch": 0.6},
    "draws": {"tensorflow": 0.75, "jax": 0.6, "torch": 0.75},
    "from_r.py": {"quick": 0.2, "full": 0.7},
    "memory.py": {"full": 2},
    "parts growth": {"tensorflow": 2.6, "jax": 1.1, "torch": 1.2},
}
# After these minutes the programs that are left measure nothing, and say so.
ALL_MINUTES = {"quick": 3.7, "full": 12}
# The memory of a peer is not measured where its steps take more than this many times ours.
MOST_TIMES_OURS = 5


class Bench:
    """Starts the measuring programs, shows their progress and keeps their lines."""

    def __init__(self, quiet):
        self.quiet, self.started = quiet, time.monotonic()

    def minutes(self):
        return (time.monotonic() - self.started) / 60

    def say(self, text):
        if not self.quiet:
            print(f"[{60 * self.minutes():4.0f} s] {text}", flush=True)

    def run(self, framework, program, *arguments, **environment):
        """Return the lines that a program measured with this framework; say what it is at."""
        environment = {**os.environ, **environment, "KERAS_BACKEND": framework}
        command = [sys.executable, str(HERE / program), *arguments]
        lines = []
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"\n== {framework}: {' '.join(command)}\n")
            log.flush()
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
            for output in process.stdout:
                if not output.startswith("{"):
                    continue
                line = json.loads(output)
                for said in ("progress", "left_out"):
                    if said in line:
                        self.say(f"{said.replace('_', ' ')}: {line[said]}")
                lines.append(line)
        if process.wait():
            sys.exit(f"{program} failed under {framework}; what it printed is in {LOG}")
        return lines

    def memory(self, lines, minutes):
        """Return a line of memory for ours and each peer; a process each, two at a time."""
        jobs = [*_jobs_of_steps(lines), *_jobs_of_draws(lines)]
        self.say(f"progress: memory, in up to {len(jobs)} processes")

        until = time.monotonic() + 60 * minutes

        def measure(job):
            framework, contender, options, reason = job
            if reason is None and time.monotonic() > until:
                reason = "the time is up"
            if reason:
                place = " ".join([framework, *options])
                return [{"left_out": f"{place}: memory of {contender}: {reason}"}]
            # Threads of torch wait for each other by keeping the cores busy, which the other
            # process needs.
            wait = {"OMP_WAIT_POLICY": "passive"}
            return self.run(framework, "memory.py", contender, *options, **wait)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return [line for lines in pool.map(measure, jobs) for line in lines]


def _jobs_of_steps(lines):
    """Yield framework, contender, options of `memory.py`, and a reason to leave it out or None."""
    times_ours = report.times_ours([line for line in lines if line.get("sweep") == "table"])
    for (framework, compiled, contender), times in times_ours.items():
        slow = f"its steps take {times:.0f} times ours" if times > MOST_TIMES_OURS else None
        yield framework, contender, ["--jit"] if compiled == "jit_compile" else [], slow


def _jobs_of_draws(lines):
    """Yield the same for the ways to draw; a `predict()` for each draw keeps nothing."""
    of_draws = [line for line in lines if "draws" in line and line["way"] != "predict()"]
    for name in dict.fromkeys((line["framework"], line["contender"]) for line in of_draws):
        yield *name, ["--draws"], None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the MLP's training, and from R")
    parser.add_argument("--quiet", action="store_true", help="print the tables alone")
    parser.add_argument("--unlimited", action="store_true", help="however long it takes")
    parser.add_argument("--frameworks", default="tensorflow,jax,torch")
    options = parser.parse_args()
    frameworks = options.frameworks.split(",")
    FOLDER.mkdir(parents=True, exist_ok=True)
    LOG.write_text("")

    bench, size = Bench(options.quiet), "quick" if options.quick else "full"
    lines = []
    for program in ["quick", "draws", "from_r.py"] if options.quick else list(LIMITS)[1:]:
        limits = dict.fromkeys(LIMITS[program], 60) if options.unlimited else LIMITS[program]
        if program == "from_r.py":
            minutes = str(limits[size])
            quick = ["--quick"] if options.quick else []
            lines += bench.run("tensorflow", program, "--minutes", minutes, *quick)
        elif program == "memory.py":
            lines += bench.memory(lines, limits["full"])
        else:
            for i, framework in enumerate(frameworks):
                minutes = limits[framework]
                if not options.unlimited:
                    # If the time is short, it is so for all that are left.
                    wanted = sum(limits[one] for one in frameworks[i:])
                    left = ALL_MINUTES[size] - bench.minutes()
                    minutes *= min(1, left / wanted)
                arguments = [*program.split(), "--minutes", str(minutes)]
                lines += bench.run(framework, "measure.py", *arguments)
    print("\n" + report.write(FOLDER, lines))
    print(f"{os.cpu_count()} cores, {60 * bench.minutes():.0f} s. ", end="")
    print(f"CSV files and plots are in {os.path.relpath(FOLDER)}.")


if __name__ == "__main__":
    main()
