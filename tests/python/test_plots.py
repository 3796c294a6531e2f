"""Plots show what the answers return, and nothing else."""

import builtins

import keras
import numpy as np
import pytest

import layer_api

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = RNG.normal(size=12)
LABELS = np.arange(12) % 3
OPTIONS = {"draws": 40, "seed": 1}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def compiled(units, likelihood):
    model = keras.Sequential(
        [keras.Input((3,)), layer_api.DenseFlipout(units, seed=1, name="dense")]
    )
    model.compile(loss=likelihood)
    return model


@pytest.fixture
def of_numbers():
    return compiled(2, layer_api.NormalLikelihood())


@pytest.fixture
def of_classes():
    return compiled(3, layer_api.CategoricalLikelihood())


@pytest.fixture
def of_two_outputs():
    inputs = keras.Input((3,))
    outputs = {name: layer_api.DenseFlipout(2, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    model.compile(loss={name: layer_api.NormalLikelihood() for name in outputs})
    return model


def band(collection):
    """Return the horizontal places of a band, sorted, and its lower and upper limits there."""
    vertices = collection.get_paths()[0].vertices
    places = np.unique(vertices[:, 0])
    columns = [vertices[vertices[:, 0] == place, 1] for place in places]
    return places, np.array([c.min() for c in columns]), np.array([c.max() for c in columns])


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


class TestPlotInterval:
    def test_bands_mean_and_points_are_those_of_the_answers(self, of_numbers):
        axes = layer_api.plot_interval(of_numbers, X, Y, feature=1, prob=(0.5, 0.8), **OPTIONS)
        order = np.argsort(X[:, 1])
        assert len(axes.collections) == 2
        for collection, prob in zip(axes.collections, (0.8, 0.5), strict=True):
            expected = layer_api.predictive_interval(of_numbers, X, prob, **OPTIONS)
            places, lower, upper = band(collection)
            np.testing.assert_allclose(places, X[order, 1])
            np.testing.assert_allclose(lower, expected.lower[order])
            np.testing.assert_allclose(upper, expected.upper[order])
        mean, points = axes.lines
        expected = np.asarray(layer_api.posterior_epred(of_numbers, X, **OPTIONS)).mean(axis=0)
        np.testing.assert_allclose(mean.get_ydata(), expected[order], rtol=1e-6)
        np.testing.assert_allclose(points.get_xdata(), X[:, 1])
        np.testing.assert_allclose(points.get_ydata(), Y)
        assert axes.get_xlabel() == "x[:, 1]"
        named = ["80% interval", "50% interval", "predictive mean", "observations"]
        assert labels(axes) == named

    def test_draws_serve_in_place_of_the_model(self, of_numbers):
        draws = layer_api.posterior_linpred(of_numbers, X, **OPTIONS)
        axes = [
            layer_api.plot_interval(each, X, prob=0.9, **options)
            for each, options in ((of_numbers, OPTIONS), (draws, {"seed": 1}))
        ]
        first, second = (band(each.collections[0]) for each in axes)
        np.testing.assert_array_equal(first, second)
        assert labels(axes[0]) == ["90% interval", "predictive mean"]

    def test_the_axes_that_are_given_are_drawn_into(self, of_numbers):
        figure, (left, right) = plt.subplots(1, 2)
        assert layer_api.plot_interval(of_numbers, X, axes=right, **OPTIONS) is right
        assert right.has_data()
        assert not left.has_data()
        assert plt.get_fignums() == [figure.number]

    def test_a_column_of_a_data_frame_gives_its_name(self, of_numbers):
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        frame = pandas.DataFrame(X, columns=["age", "height", "weight"])
        axes = layer_api.plot_interval(of_numbers, frame, feature=2, **OPTIONS)
        assert axes.get_xlabel() == "weight"

    @pytest.mark.parametrize("feature", [3, -1, 0.5, "a"])
    def test_a_feature_that_is_none_is_refused(self, of_numbers, feature):
        with pytest.raises(ValueError, match=r"`feature` must be a whole number from 0 to 2"):
            layer_api.plot_interval(of_numbers, X, feature=feature)

    def test_what_does_not_fit_is_refused(self, of_numbers, of_classes, of_two_outputs):
        with pytest.raises(ValueError, match="`y` must be"):
            layer_api.plot_interval(of_numbers, X, Y[:5], **OPTIONS)
        with pytest.raises(ValueError, match=r"`prob` must be a number above 0"):
            layer_api.plot_interval(of_numbers, X, prob=(0.5, 1))
        with pytest.raises(ValueError, match=r"one of numbers.*Plot the uncertainty"):
            layer_api.plot_interval(of_classes, X)
        with pytest.raises(ValueError, match=r"several outputs\. Make draws with"):
            layer_api.plot_interval(of_two_outputs, X)
        with pytest.raises(TypeError, match="`axes` must be an Axes of matplotlib"):
            layer_api.plot_interval(of_numbers, X, axes=3, **OPTIONS)
        with pytest.raises(ValueError, match="`x` must be one array"):
            layer_api.plot_interval(of_numbers, {"a": X})
        with pytest.raises(ValueError, match="`x` must be an array of rows and columns"):
            layer_api.plot_interval(of_numbers, X[None])
        draws = layer_api.posterior_linpred(of_numbers, X, **OPTIONS)
        with pytest.raises(ValueError, match="`x` must be an array of 12 rows"):
            layer_api.plot_interval(draws, X[:5])
        of_pairs = compiled(4, layer_api.NormalLikelihood())
        with pytest.raises(ValueError, match="observations are one number each"):
            layer_api.plot_interval(of_pairs, X, **OPTIONS)

    def test_draws_of_one_output_of_several_are_plotted(self, of_two_outputs):
        draws = layer_api.posterior_linpred(of_two_outputs, X, **OPTIONS)
        assert layer_api.plot_interval(draws["b"], X).has_data()

    def test_without_matplotlib_the_message_says_what_to_install(self, of_numbers, monkeypatch):
        real = builtins.__import__

        def without(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ModuleNotFoundError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ImportError, match=r"pip install 'layer-api\[plots\]'"):
            layer_api.plot_interval(of_numbers, X, **OPTIONS)


def test_plot_predicted(of_numbers, of_two_outputs):
    axes = layer_api.plot_predicted(of_numbers, X, Y, prob=0.8, **OPTIONS)
    expected = layer_api.predictive_interval(of_numbers, X, 0.8, **OPTIONS)
    bars = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(bars[:, 0], np.stack([Y, expected.lower], axis=1))
    np.testing.assert_allclose(bars[:, 1], np.stack([Y, expected.upper], axis=1))
    mean = np.asarray(layer_api.posterior_epred(of_numbers, X, **OPTIONS)).mean(axis=0)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.stack([Y, mean], axis=1), rtol=1e-6)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("observed", "predicted")
    assert labels(axes) == ["80% interval", "predictive mean"]
    with pytest.raises(ValueError, match="`y` must be"):
        layer_api.plot_predicted(of_numbers, X, Y[:5], **OPTIONS)
    with pytest.raises(ValueError, match="several outputs"):
        layer_api.plot_predicted(of_two_outputs, X, {"a": Y, "b": Y})


class TestPlotCalibration:
    def test_of_numbers(self, of_numbers):
        axes = layer_api.plot_calibration(of_numbers, X, Y, **OPTIONS)
        found = layer_api.calibration(of_numbers, X, Y, **OPTIONS)
        shown = axes.lines[1].get_xydata()
        np.testing.assert_allclose(shown, np.stack([found.predicted, found.observed], axis=1))
        _, below = axes.figure.axes
        heights = [bar.get_height() for bar in below.patches]
        assert heights == list(np.histogram(found.pit, 10, (0, 1))[0])
        assert axes.get_xlabel() == "probability of the interval"

    def test_of_classes(self, of_classes):
        axes = layer_api.plot_calibration(of_classes, X, LABELS, **OPTIONS)
        found = layer_api.calibration(of_classes, X, LABELS, **OPTIONS)
        shown = axes.lines[1].get_xydata()
        np.testing.assert_allclose(shown, np.stack([found.predicted, found.observed], axis=1))
        _, below = axes.figure.axes
        assert [bar.get_height() for bar in below.patches] == list(found.count)
        assert axes.get_xlabel() == "predicted probability"

    def test_axes_that_are_given_make_room(self, of_numbers):
        figure, (left, right) = plt.subplots(1, 2)
        width = right.get_position().width
        assert layer_api.plot_calibration(of_numbers, X, Y, axes=right, **OPTIONS) is right
        assert len(figure.axes) == 3
        by_hand = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
        for axes in (right, layer_api.plot_calibration(of_numbers, X, Y, axes=by_hand, **OPTIONS)):
            below = axes.figure.axes[-1].get_position()
            assert below.y1 < axes.get_position().y0
            assert below.width == pytest.approx(axes.get_position().width)
        assert right.get_position().width == pytest.approx(width)
        assert not left.has_data()

    def test_what_does_not_fit_is_refused(self, of_numbers, of_two_outputs):
        with pytest.raises(ValueError, match="`y` must be"):
            layer_api.plot_calibration(of_numbers, X, Y[:5], **OPTIONS)
        with pytest.raises(ValueError, match="several outputs"):
            layer_api.plot_calibration(of_two_outputs, X, {"a": Y, "b": Y})


@pytest.mark.parametrize(
    ("kind", "unit"), [("of_numbers", "variance"), ("of_classes", "entropy (nats)")]
)
def test_plot_uncertainty(request, kind, unit):
    model = request.getfixturevalue(kind)
    axes = layer_api.plot_uncertainty(model, X, feature=2, **OPTIONS)
    parts = layer_api.uncertainty(model, X, **OPTIONS)
    order = np.argsort(X[:, 2])
    aleatoric, epistemic = (band(each) for each in axes.collections)
    np.testing.assert_allclose(aleatoric[2], parts.aleatoric[order], rtol=1e-6)
    np.testing.assert_allclose(epistemic[1], parts.aleatoric[order], rtol=1e-6)
    np.testing.assert_allclose(epistemic[2], parts.total[order], rtol=1e-6)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), parts.total[order], rtol=1e-6)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x[:, 2]", unit)
    assert labels(axes) == ["aleatoric", "epistemic", "total"]


class TestPlotWeights:
    def test_the_surest_are_on_top(self):
        model = compiled(1, layer_api.NormalLikelihood(scale=1.0))
        model.layers[0].set_weights([[[0.1], [-3.0], [1.0]], [[0.0], [0.0], [0.0]], [0.3]])
        axes = layer_api.plot_weights(model, prob=0.8, most=2)
        found = layer_api.posterior_interval(model, 0.8)
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == ["dense/kernel[1,0]", "dense/kernel[2,0]"]
        bars = np.array(axes.collections[0].get_segments())
        ends = np.asarray(found)[[1, 2]]
        np.testing.assert_allclose(bars[:, :, 0], ends)
        assert axes.get_title() == "2 of 3 weights"
        assert axes.get_xlabel() == "posterior mean and 80% interval"
        assert axes.yaxis_inverted()
        assert layer_api.plot_weights(model).get_title() == ""

    def test_what_does_not_fit_is_refused(self, of_numbers):
        with pytest.raises(ValueError, match="`most` must be a whole number of at least 1"):
            layer_api.plot_weights(of_numbers, most=0)
        posterior = layer_api.Deterministic()
        model = keras.Sequential(
            [keras.Input((3,)), layer_api.DenseReparameterization(1, kernel_posterior_fn=posterior)]
        )
        with pytest.raises(ValueError, match="at least one uncertain weight"):
            layer_api.plot_weights(model)


class TestPlotHistory:
    def test_a_panel_for_each_metric_the_loss_and_its_parts_first(self):
        recorded = {
            "kl_weight": [0, 1], "accuracy": [0, 1], "val_accuracy": [1, 0], "kl": [1, 1.5],
            "loss": [3, 2], "nll": [2, 1], "val_loss": [4, 3],
        }  # fmt: skip
        panels = layer_api.plot_history(recorded)
        names = [panel.get_ylabel() for panel in panels]
        assert names == ["loss", "nll", "kl", "kl_weight", "accuracy"]
        loss, _, kl, _, accuracy = panels
        assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2], [4, 3]]
        assert loss.lines[0].get_xdata().tolist() == [1, 2]
        assert labels(loss) == ["training", "validation"]
        assert [line.get_ydata().tolist() for line in kl.lines] == [[1, 1.5]]
        assert kl.get_legend() is None
        assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0, 1], [1, 0]]
        assert loss.get_gridspec().get_geometry() == (2, 3)

    def test_some_of_the_metrics(self):
        recorded = {"loss": [3, 2], "kl": [1, 1.5], "val_mse": [4, 3]}
        panels = layer_api.plot_history(recorded, metrics=["mse", "kl"])
        assert [panel.get_ylabel() for panel in panels] == ["mse", "kl"]
        assert labels(panels[0]) == ["validation"]
        (panel,) = layer_api.plot_history(recorded, metrics="loss")
        assert panel.get_ylabel() == "loss"

    def test_what_fit_returns_is_taken(self, of_numbers):
        history = of_numbers.fit(X, Y, epochs=1, verbose=0)
        _, axes = plt.subplots()
        (panel,) = layer_api.plot_history(history, axes=axes)
        assert panel is axes
        assert panel.lines[0].get_ydata().tolist() == history.history["loss"]
        assert panel.lines[0].get_marker() == "o"

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(TypeError, match=r"`history` must be what fit\(\) returned"):
            layer_api.plot_history(3)
        with pytest.raises(ValueError, match="recorded its loss"):
            layer_api.plot_history({})
        for metrics in ("mse", ["loss", "mse"], [], 3):
            with pytest.raises(ValueError, match="`metrics` must be among 'loss', 'kl'"):
                layer_api.plot_history({"kl": [1], "loss": [1]}, metrics=metrics)
        with pytest.raises(ValueError, match="`axes` must be 2 Axes"):
            layer_api.plot_history({"loss": [1], "kl": [1]}, axes=[plt.figure().add_subplot()])
        with pytest.raises(TypeError, match="`axes` must be an Axes"):
            layer_api.plot_history({"loss": [1]}, axes=[3])
