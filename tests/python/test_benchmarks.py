"""The benchmark's tables say what its measured lines come to. Nothing is timed here."""

import csv
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "benchmarks"))

import report


def line(contender, role, floor, seconds, sweep="table", at=128):
    return {
        "framework": "torch",
        "compile": "default",
        "work": "MLP, training",
        "sweep": sweep,
        "at": at,
        "batch": 128,
        "contender": contender,
        "role": role,
        "floor": floor,
        "seconds": seconds,
    }


# In the third round the machine was ten times slower; the fourth was ours to lose.
LINES = [
    line("Keras Dense", "floor", "Keras Dense", [0.010, 0.012, 0.100, 0.010]),
    line("layer_api", "ours", "Keras Dense", [0.020, 0.024, 0.200, 0.090]),
    line("keras-proba", "peer", "Keras Dense", [0.040, 0.048]),
    line("torch Linear", "floor", "torch Linear", [0.008, 0.008, 0.080, 0.008]),
    line("bayesian-torch", "peer", "torch Linear", [0.032, 0.040, 0.320, 0.032]),
]
BY_NAME = {row["contender"]: row for row in report.summarize(LINES)}


def test_a_figure_is_the_median_of_its_rounds():
    assert BY_NAME["layer_api"]["milliseconds"] == pytest.approx(57)
    assert BY_NAME["layer_api"]["least"] == pytest.approx(20)
    assert BY_NAME["layer_api"]["most"] == pytest.approx(200)
    assert [row["rounds"] for row in BY_NAME.values()] == [4, 4, 2, 4, 4]


@pytest.mark.parametrize(
    ("contender", "ratio"),
    [("layer_api", 2), ("keras-proba", 4), ("bayesian-torch", 4), ("torch Linear", 1)],
)
def test_a_ratio_is_that_of_rounds_to_the_floor_of_the_same_library(contender, ratio):
    assert BY_NAME[contender]["ratio"] == pytest.approx(ratio)


def test_ours_is_held_against_the_fastest_peer():
    ours = BY_NAME["layer_api"]
    assert ours["fastest_peer"] == "bayesian-torch"  # 36 ms; keras-proba 44
    assert ours["ratio_to_peer"] == pytest.approx(0.625)
    others = [row for name, row in BY_NAME.items() if name != "layer_api"]
    assert {row["ratio_to_peer"] for row in others} == {None}


def test_who_is_how_many_times_slower_than_ours():
    other = [
        line("layer_api", "ours", "Keras Dense", [0.010], at=1024),
        line("keras-proba", "peer", "Keras Dense", [0.070], at=1024),
    ]
    assert report.times_ours([*LINES, *other]) == {
        ("torch", "default", "layer_api"): 1,
        ("torch", "default", "keras-proba"): pytest.approx(7),
        ("torch", "default", "bayesian-torch"): pytest.approx(1.6),
    }


def test_the_overhead_of_a_layer_is_the_slope_of_time_against_depth():
    lines = [
        line("layer_api", "ours", "Keras Dense", [0.001 + 0.0005 * depth], "depth", depth)
        for depth in (1, 4, 16)
    ]
    (row,) = report.overheads(report.summarize(lines))
    assert row["per_layer"] == pytest.approx(0.5)
    assert row["per_step"] == pytest.approx(1.0)


def test_memory_is_held_against_the_peer_that_takes_least():
    roles = {"layer_api": "ours", "keras-proba": "peer", "bayesian-torch": "peer"}
    taken = {"layer_api": 30.0, "keras-proba": 40.0, "bayesian-torch": 60.0}
    lines = [
        {"framework": "torch", "compile": "default", "contender": name, "role": role}
        | {"work": work, "batch": 8, "megabytes": factor * taken[name]}
        for work, factor in {"small": 1, "large": 10}.items()
        for name, role in roles.items()
    ]
    rows = report.memory(lines)
    ours, ours_large = rows[0], rows[3]
    assert ours["least_peer"] == ours_large["least_peer"] == "keras-proba"
    assert ours["ratio_to_peer"] == ours_large["ratio_to_peer"] == pytest.approx(0.75)
    title, first, second, _ = report.text_of_memory(rows).splitlines()
    assert re.split(" {2,}", title)[1:] == ["small, batch 8", "large, batch 8"]
    assert re.split(" {2,}", first)[1:] == ["30 (0.75 of keras-proba)", "300 (0.75 of keras-proba)"]
    assert second.split()[-2:] == ["40", "400"]


def test_r_and_python_are_compared_by_their_least_rounds():
    measured = {"r": [1.3, 5.5, 1.1], "python": [1.0, 5.0, 1.2]}
    measured |= {"r_cpu": [2.0, 2.1, 2.2], "python_cpu": [2.0, 2.0, 1.6], "copies": [1.0, 1.1, 9.0]}
    (row,) = report.from_r([{"task": "copy, once", "layers": 3} | measured])
    assert row["copies"] == 1.1
    assert (row["seconds_r"], row["seconds_python"]) == (1.1, 1.0)
    assert row["ratio"] == pytest.approx(1.1)
    assert row["cpu_ratio"] == pytest.approx(1.25)
    assert row["difference"] == pytest.approx(0.1)


def test_the_table_shows_them():
    title, row = report.text(report.summarize(LINES)).splitlines()
    assert title.split("  ")[0] == "torch, compile()"
    shown = "11.0 57.0 (2.0) 44.0 (4.0) 8.0 36.0 (4.0) 0.62 (bayesian-torch)"
    assert row.split() == ["MLP,", "training,", "batch", "128", *shown.split()]


def test_parts_stand_below_each_other_with_the_batches_side_by_side():
    lines = [
        line("Keras Dense", "floor", "Keras Dense", [0.010], "parts"),
        line("+ a draw", "part", "Keras Dense", [0.025], "parts"),
        line("Keras Dense", "floor", "Keras Dense", [0.020], "parts", 1024) | {"batch": 1024},
        line("+ a draw", "part", "Keras Dense", [0.030], "parts", 1024) | {"batch": 1024},
    ]
    title, *rows = report.text_of_parts(report.summarize(lines)).splitlines()
    words = "torch, compile(): what a step is made of batch 128 batch 1024"
    assert title.split() == words.split()
    assert " ".join(rows[0].split()) == "Keras Dense 10.0 20.0"
    assert " ".join(rows[1].split()) == "+ a draw 25.0 (2.5) 30.0 (1.5)"


def draw(contender, role, floor, seconds, rows=1000):
    return {
        "framework": "torch",
        "network": "784-512-512-10",
        "rows": rows,
        "draws": 100,
        "contender": contender,
        "way": contender.split(", ")[1],
        "role": role,
        "floor": floor,
        "part": 1,
        "seconds": seconds,
    }


LOOP, OURS = "Keras Dense, loop", "layer_api, posterior_linpred()"
DRAWS = [
    draw(LOOP, "floor", LOOP, [1.0, 2.0, 1.5]),
    draw(OURS, "ours", LOOP, [2.0, 4.0, 3.3]),
    draw("keras-proba, predict()", "peer", LOOP, [20.0, 20.0]),
    draw(LOOP, "floor", LOOP, [0.1, 0.1, 0.1], rows=32),
    draw(OURS, "ours", LOOP, [0.3, 0.3, 0.3], rows=32),
]
# As of the program that measures it.
OF_MEMORY = [
    {key: DRAWS[i][key] for key in ("framework", "network", "rows", "draws", "contender")}
    | {"megabytes": megabytes}
    for i, megabytes in ((0, 20.0), (1, 30.0))
]


def test_draws_are_held_against_the_loop_of_ordinary_layers_and_a_target():
    rows = report.draws([*DRAWS, *OF_MEMORY])
    assert [row["ratio"] for row in rows] == pytest.approx([1, 2, 15, 1, 3])
    assert [row["seconds"] for row in rows] == [1.5, 3.3, 20.0, 0.1, 0.3]
    assert [row["target"] for row in rows] == [None, 1.6, None, None, 4]
    assert [row["megabytes"] for row in rows] == [20, 30, None, None, None]


def test_the_table_of_draws_shows_them():
    lines = report.text_of_draws(report.draws([*DRAWS, *OF_MEMORY])).splitlines()
    assert [re.split(" {2,}", each) for each in lines] == [
        ["Seconds for 100 draws of 784-512-512-10", "1000 rows", "32 rows", "peak, MB"],
        ["torch: Keras Dense, loop", "1.50", "0.10", "20"],
        [f"torch: {OURS}", "3.30 (2; target 1.6)", "0.30 (3; target 4)", "30"],
        ["torch: keras-proba, predict()", "20.00 (15)", "-", "-"],
    ]  # fmt: skip
    without = report.text_of_draws(report.draws(DRAWS)).splitlines()
    assert without[0].split()[-2:] == ["32", "rows"]


def test_the_files_are_written(tmp_path):
    deeper = line("layer_api", "ours", "Keras Dense", [0.1], "depth", 4)
    said = [{"versions": {"keras": "3.0"}}, {"left_out": "torch: the time is up"}]
    text = report.write(tmp_path, [*said, *LINES, deeper, *DRAWS])
    assert "keras 3.0" in text
    assert "Seconds for 100 draws" in text
    with (tmp_path / "steps.csv").open(encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["contender"] for row in read] == [row["contender"] for row in [*LINES, deeper]]
    assert float(read[1]["ratio"]) == pytest.approx(2)
    # What was not measured has no file.
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "draws.csv",
        "growth.png",
        "left_out.csv",
        "lines.jsonl",
        "steps.csv",
        "steps.png",
        "versions.csv",
    }
