"""Train one Bayesian network from R and from Python on one data set, and compare them.

Usage: python demo.py [--quiet]. The results are in build/demo/ of the repository.
"""

import csv
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


def scores(language):
    """Return what a program wrote of its scores."""
    with open(FOLDER / f"scores-{language.lower()}.csv", encoding="utf-8") as file:
        return {name: float(value) for name, value in next(csv.DictReader(file)).items()}


def main():
    """Run both programs, and print the table and the names of the plots."""
    quiet = "--quiet" in sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for language in PROGRAMS:
        run(language, quiet)
    r, python = scores("R"), scores("Python")
    drawn = [np.load(FOLDER / f"predictions-{name}.npy") for name in ("r", "python")]
    difference = np.max(np.abs(drawn[0] - drawn[1]))
    print(
        "\nMASS::mcycle, 100 rows for training and 33 held out\n\n"
        f"{'held-out':34}{'R':>10}{'Python':>10}\n"
        f"{'root mean squared error (g)':34}{r['rmse']:10.2f}{python['rmse']:10.2f}\n"
        f"{'negative log-likelihood':34}{r['nll']:10.3f}{python['nll']:10.3f}\n"
        f"{'coverage of the 90% interval':34}{r['coverage']:10.1%}{python['coverage']:10.1%}\n"
        f"{'largest |R - Python| of 33000 draws':34}{difference:19g}\n"
    )
    for name in ("r", "python"):
        print(os.path.relpath(FOLDER / f"mcycle-{name}.png"))
    if difference != 0:
        sys.exit("The predictions of R and of Python differ, and should not, under one seed.")


if __name__ == "__main__":
    main()
