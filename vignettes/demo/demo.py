"""Train one Bayesian network from R and from Python on one data set, and compare them.

Usage: python demo.py [--quiet]. The results are in build/demo/ of the repository.
"""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "build" / "demo"
PROGRAMS = {"R": ["Rscript", HERE / "mcycle.R"], "Python": [sys.executable, HERE / "mcycle.py"]}


def run(language, quiet):
    """Run the program of a language; show what it printed if it fails."""
    if not quiet:
        print(f"{language}: training, 1000 draws of the predictions, a plot ...", flush=True)
    start = time.perf_counter()
    done = subprocess.run([*PROGRAMS[language], FOLDER], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{language} failed: see above.")
    if not quiet:
        print(f"{language}: {time.perf_counter() - start:.0f} s")


def main():
    """Run both programs, and print the table and the names of the plots."""
    quiet = "--quiet" in sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for language in PROGRAMS:
        run(language, quiet)
    r, python = (np.load(FOLDER / f"{name}.npz") for name in ("r", "python"))
    # R's program gives the draws without a name.
    difference = np.max(np.abs(r["arr_0"] - python["drawn"]))
    rows = {  # accelerations are in units of 50 g there
        "root mean squared error (g)": (50 * r["rmse"], 50 * python["rmse"], ".2f"),
        "CRPS (g)": (50 * r["crps"], 50 * python["crps"], ".2f"),
        "log score": (r["log_score"] - np.log(50), python["log_score"] - np.log(50), ".3f"),
        "coverage of the 90% interval": (r["coverage_90"], python["coverage_90"], ".1%"),
    }
    print("\nMASS::mcycle, 100 rows for training and 33 held out\n")
    print(f"{'held-out':34}{'R':>10}{'Python':>10}")
    for name, (of_r, of_python, form) in rows.items():
        print(f"{name:34}{of_r:>10{form}}{of_python:>10{form}}")
    print(f"{'largest |R - Python| of 33000 draws':34}{difference:19g}\n")
    for name in ("r", "python"):
        print(os.path.relpath(FOLDER / f"mcycle-{name}.png"))
    if difference != 0:
        sys.exit("The predictions of R and of Python differ, and should not, under one seed.")


if __name__ == "__main__":
    main()
