"""A head in a motorcycle crash: its acceleration, and how sure a network is. As `mcycle.R`."""

import sys

import keras
import matplotlib.pyplot as plt
import numpy as np

import layer_api as la

folder = sys.argv[1]
data = np.genfromtxt(f"{folder}/data.csv", delimiter=",", names=True)
train, test = data[data["held_out"] == 0], data[data["held_out"] == 1]
n = len(train)


def features(times):  # twenty bumps, so that a small network follows a winding curve
    return np.exp(-0.5 * ((times[:, None] - np.linspace(0, 60, 20)) / 3) ** 2)


keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((20,))])
la.layer_dense_flipout(model, units=10, activation="relu", kl_weight=1 / n)
la.layer_dense_flipout(model, units=2, kl_weight=1 / n)
decay = keras.optimizers.schedules.CosineDecay(0.02, 3000)
model.compile(keras.optimizers.Adam(decay), loss=la.NormalLikelihood())
rows = np.tile(np.arange(n), 600)  # a batch has every row four times: a less noisy gradient
x, y = features(train["times"])[rows], train["accel"][rows] / 50  # in units of 50 g
model.fit(x, y, epochs=20, batch_size=4 * n, shuffle=False, verbose=0)

draws = la.posterior_linpred(model, features(test["times"]), seed=1)
scores = la.score(draws, y=test["accel"] / 50, seed=1).values
np.savez(f"{folder}/python.npz", drawn=la.posterior_predict(draws, seed=1), **scores)
times = np.linspace(0, 60, 241)
draws = la.posterior_linpred(model, features(times), draws=4000, seed=1)
figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
for prob, colour in ((0.9, "#c6dbef"), (0.5, "#6baed6")):
    band = 50 * np.transpose(la.predictive_interval(draws, prob=prob, seed=1))
    axes.fill_between(times, *band, color=colour, label=f"{prob:.0%} interval")
axes.plot(times, 50 * la.posterior_epred(draws).mean(axis=0), "#08306b", label="predictive mean")
axes.plot(train["times"], train["accel"], "k.", label="training data")
axes.plot(test["times"], test["accel"], "ko", mfc="#fd8d3c", ms=5, label="held-out data")
axes.set(xlabel="time after the impact (ms)", ylabel="acceleration (g)", xlim=(0, 60))
axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12))
figure.savefig(f"{folder}/mcycle-python.png", dpi=150)
