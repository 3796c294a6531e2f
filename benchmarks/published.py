"""Published results on the two data sets, beside which `truth.py` prints ours.

All of them have one hidden layer of 50 rectified linear units and 20 random splits, 90% of the rows
for training, with inputs and outputs standardized. The log-likelihood is that of a held-out row in
the unit of y, its mean over rows.
"""

from typing import NamedTuple

# All figures but those of the ensembles are quoted from one table: VI and PBP are Hernández-Lobato
# and Adams's (2015, Probabilistic Backpropagation, https://arxiv.org/abs/1502.05336).
_GAL = "Gal and Ghahramani (2016), table 1, https://arxiv.org/abs/1506.02142"
_ENSEMBLES = "Lakshminarayanan et al. (2017), table 1, https://arxiv.org/abs/1612.01474"

# The table of the ensembles has standard deviations over the splits: for MC dropout it says 0.85
# where the other says 0.19, and 0.85 / sqrt(20) = 0.19.
_SPLITS = 20


class Published(NamedTuple):
    """A published result: means over splits, and their standard errors."""

    data: str
    method: str
    rmse: float
    rmse_error: float
    log_likelihood: float
    log_likelihood_error: float
    source: str


def _ensembles(data, rmse, rmse_deviation, nll, nll_deviation):
    errors = [deviation / _SPLITS**0.5 for deviation in (rmse_deviation, nll_deviation)]
    return Published(data, "deep ensembles (5)", rmse, errors[0], -nll, errors[1], _ENSEMBLES)


PUBLISHED = [
    Published("Boston", "VI", 4.32, 0.29, -2.90, 0.07, _GAL),
    Published("Boston", "PBP", 3.01, 0.18, -2.57, 0.09, _GAL),
    Published("Boston", "MC dropout", 2.97, 0.19, -2.46, 0.06, _GAL),
    _ensembles("Boston", 3.28, 1.00, 2.41, 0.25),
    Published("Concrete", "VI", 7.19, 0.12, -3.39, 0.02, _GAL),
    Published("Concrete", "PBP", 5.67, 0.09, -3.16, 0.02, _GAL),
    Published("Concrete", "MC dropout", 5.23, 0.12, -3.04, 0.02, _GAL),
    _ensembles("Concrete", 6.03, 0.58, 3.06, 0.18),
]
