"""What `make truth` measures: two of its splits, with fewer networks; and how it is reported."""

import functools
import math
import pathlib
import sys

import numpy as np
import pytest
from layers import IS_FULL

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "benchmarks"))

import published
import regression
import truth

FEW = regression.FACTORS[:2]
of_networks = pytest.mark.skipif(not IS_FULL, reason="fits networks for a minute: FULL=1 does")


@pytest.fixture(scope="module")
def boston():
    return regression.load("Boston")


@pytest.fixture(scope="module")
def lines(boston):
    return [
        line
        for number in (0, 1)
        for line in regression.run("Boston", *boston, number, factors=FEW[:1], members=2)
    ]


def test_a_split_has_every_row_once():
    for train, test in regression.splits(506):
        assert (len(train), len(test)) == (455, 51)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(506))


def test_the_splits_are_twenty_and_the_same_every_time():
    first, again = regression.splits(506), regression.splits(506)
    assert len({frozenset(test) for _, test in first}) == 20
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_splits_are_those_of_the_published_results():
    # The first rows of index_test_0.txt and index_test_19.txt, in the code of MC dropout.
    tests = [test for _, test in regression.splits(506)]
    assert tests[0][:5].tolist() == [431, 115, 470, 216, 264]
    assert tests[19][:5].tolist() == [426, 161, 347, 368, 305]


def test_standardizing_uses_the_training_rows_alone(boston):
    x, y = boston
    train, test = regression.splits(len(y))[0]
    data = regression.standardized(x, y, train, test)
    np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.x.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(data.y * data.unit + y[train].mean(), y[train], rtol=1e-5)
    np.testing.assert_allclose(data.other_y * data.unit + y[train].mean(), y[test], rtol=1e-5)


def test_the_choice_sees_the_training_rows_alone(boston, monkeypatch):
    x, y = boston
    train, test = regression.splits(len(y))[0]
    hidden_x, hidden_y = x.copy(), y.copy()
    hidden_x[test] = hidden_y[test] = np.nan
    fit, scores = regression.fit, regression.scores
    monkeypatch.setattr(regression, "fit", functools.partial(fit, epochs=2))

    def chosen(x, y):
        found = []
        monkeypatch.setattr(
            regression, "scores", lambda *given: found.append(scores(*given)) or found[-1]
        )
        return regression.choose(x, y, train, 1, FEW), found

    # Every score, to the last bit.
    assert chosen(hidden_x, hidden_y) == chosen(x, y)


def test_the_best_crps_is_chosen(boston, monkeypatch):
    monkeypatch.setattr(regression, "fit", lambda x, y, factor, seed: factor)
    crps = dict(zip(regression.FACTORS, [2.0, 1.0, 3.0], strict=True))
    monkeypatch.setattr(regression, "scores", lambda model, data: {"crps": crps[model]})
    train, _ = regression.splits(506)[0]
    assert regression.choose(*boston, train, 1) == regression.FACTORS[1]


@of_networks
@pytest.mark.parametrize("score", ["rmse", "log_likelihood"])
def test_scores_of_a_split_are_as_good_as_published_ones(lines, score):
    # Between splits, MC dropout's scores differ by their standard error times sqrt(20).
    (dropout,) = [
        row for row in published.PUBLISHED if (row.data, row.method) == ("Boston", "MC dropout")
    ]
    expected = getattr(dropout, score)
    deviation = getattr(dropout, f"{score}_error") * math.sqrt(20)
    for line in lines:
        assert abs(line[score] - expected) < 4 * deviation


@of_networks
def test_intervals_hold_what_they_should(lines):
    # 102 rows, each held with probability 0.9; misses by 4 standard errors.
    together = [line["coverage_90"] for line in lines if line["networks"] == 2]
    assert np.mean(together) > 0.9 - 4 * math.sqrt(0.9 * 0.1 / 102)


@of_networks
def test_an_ensemble_is_better_than_its_networks_on_average(lines):
    for number in (0, 1):
        of_split = [line for line in lines if line["split"] == number]
        single = [line for line in of_split if line["networks"] == 1]
        (together,) = [line for line in of_split if line["networks"] == 2]
        # By convexity of the error and concavity of the logarithm; 500 draws of each network are
        # not those of its own score, so up to the noise of the draws.
        assert together["rmse"] < np.mean([line["rmse"] for line in single]) + 0.05
        likelihood = np.mean([line["log_likelihood"] for line in single])
        assert together["log_likelihood"] > likelihood - 0.05


def test_the_table_has_means_over_splits_and_their_errors():
    def line(split, networks, value):
        scores = dict.fromkeys(truth.SCORES, value)
        about = {"data": "Boston", "split": split, "factor": 0.01}
        return {**about, "networks": networks, **scores}

    lines = [line(0, 1, 1.0), line(0, 1, 3.0), line(0, 5, 2.5)]
    lines += [line(1, 1, 4.0), line(1, 1, 4.0), line(1, 5, 3.5)]
    rows = truth.summarize(lines)
    assert [row["method"] for row in rows[:4]] == [
        row.method for row in published.PUBLISHED if row.data == "Boston"
    ]
    one, together = rows[4:]
    assert (one["method"], one["rmse"], one["rmse_error"]) == ("one network", 3.0, 1.0)
    assert (together["rmse"], together["rmse_error"]) == (3.0, 0.5)
    text = truth.text(rows, lines)
    assert "Goal, one network: RMSE at most 3.10: reached (3.000)" in text
    assert "Goal, ensemble of five: RMSE at most 2.90: missed (3.000)" in text
    assert "divergence: 0.01 (2 splits)" in text
