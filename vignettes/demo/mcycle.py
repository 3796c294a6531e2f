"""A Bayesian network for the head's acceleration in a motorcycle crash, from Python.

The same program as `mcycle.R`, line by line. Usage: python mcycle.py FOLDER, with the data.csv that
mcycle.R writes there.
"""

import csv
import pathlib
import sys

import keras
import matplotlib
import numpy as np
from keras import ops

from layer_api import layer_dense_flipout, pipe

matplotlib.use("Agg")
import matplotlib.pyplot as plt

folder = pathlib.Path(sys.argv[1])
data = np.genfromtxt(folder / "data.csv", delimiter=",", names=True)
held_out = data["held_out"] == 1
train, test = data[~held_out], data[held_out]
n = len(train)

scale = 50  # accelerations in units of 50 g, about their standard deviation
centres = np.linspace(0, 60, 20)


def features(times):
    """Twenty bumps along the time axis, so that a small network follows a winding curve."""
    distance = (ops.convert_to_tensor(times.reshape(-1, 1), "float32") - centres) / 3
    return ops.exp(-0.5 * ops.square(distance))


def deviation(output):
    """The second output of the network, as a standard deviation."""
    return ops.softplus(output) + 0.001


def negative_log_likelihood(y, output):
    """Of a normal whose mean and standard deviation are the outputs, but for a constant."""
    sd = deviation(output[:, 1:2])
    return ops.log(sd) + 0.5 * ops.square((y - output[:, 0:1]) / sd)


keras.utils.set_random_seed(1)
model = pipe(
    keras.Sequential([keras.Input((20,))]),
    layer_dense_flipout(units=10, activation="relu", kl_weight=1 / n),
    layer_dense_flipout(units=2, kl_weight=1 / n),
)
decay = keras.optimizers.schedules.CosineDecay(0.02, 3000)
model.compile(optimizer=keras.optimizers.Adam(decay), loss=negative_log_likelihood)

# A batch holds every row four times: flipout draws other noise for every copy, so that the gradient
# is less noisy. An epoch is 150 such batches.
rows = np.tile(np.arange(n), 4 * 150)
x = ops.take(features(train["times"]), rows, axis=0)
y = train["accel"][rows].reshape(-1, 1) / scale
model.fit(x, y, epochs=20, batch_size=4 * n, shuffle=False, verbose=0)


def predict(times, draws=1000):
    """Return means, standard deviations and observations, drawn: arrays of draws x times."""
    x = ops.take(features(times), np.tile(np.arange(len(times)), draws), axis=0)
    outputs = model.predict(x, batch_size=len(times), verbose=0)  # each batch draws its weights
    mean, sd = outputs[:, 0], deviation(outputs[:, 1])
    observation = mean + sd * keras.random.normal(mean.shape, seed=1)
    numbers = [ops.convert_to_numpy(drawn * scale) for drawn in (mean, sd, observation)]
    return [drawn.reshape(draws, len(times)) for drawn in numbers]


mean, sd, observation = predict(test["times"])
residual = test["accel"] - mean
log_density = -0.5 * (residual / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
low, high = np.quantile(observation, [0.05, 0.95], axis=0)
scores = {
    "rmse": np.sqrt(np.mean((test["accel"] - mean.mean(axis=0)) ** 2)),
    "nll": -np.mean(np.log(np.mean(np.exp(log_density), axis=0))),
    "coverage": np.mean((test["accel"] >= low) & (test["accel"] <= high)),
}
with open(folder / "scores-python.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([scores.keys(), scores.values()])
np.save(folder / "predictions-python.npy", observation)

times = np.linspace(0, 60, 241)
mean, _, observation = predict(times, 4000)
quantiles = np.quantile(observation, [0.05, 0.25, 0.75, 0.95], axis=0)
figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.fill_between(
    times, quantiles[1], quantiles[2], color="#6baed6", label="50% interval", zorder=2
)
axes.fill_between(
    times, quantiles[0], quantiles[3], color="#c6dbef", label="90% interval", zorder=1
)
axes.plot(times, mean.mean(axis=0), color="#08306b", label="predictive mean", zorder=3)
axes.scatter(
    test["times"], test["accel"], s=16, facecolor="#fd8d3c", edgecolor="black",
    label="held-out data", zorder=5,
)  # fmt: skip
axes.scatter(train["times"], train["accel"], s=12, color="black", label="training data", zorder=4)
axes.set_title("Python: two flipout layers, motorcycle crash data", loc="left")
axes.set(
    xlabel="time after the impact (ms)",
    ylabel="acceleration of the head (g)",
    xlim=(0, 60),
)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=9, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12))
figure.savefig(folder / "mcycle-python.png", dpi=150)
