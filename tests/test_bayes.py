"""Posterior, evidence, leave-one-out and influence: against dense algebra, integrals and true retraining."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sklearn.datasets
from cases import assert_close, assert_same, draw, largest_array, programs_of, reference_forward, reference_losses
from jax.flatten_util import ravel_pytree

import jaxshallow as js
from jaxshallow.bayes import evidence
from jaxshallow.bayes.climbing import Climb, Point
from jaxshallow.bayes.gaussian import BIAS_DEVIATION, compiled_posterior
from jaxshallow.tiles import jacobians

pytestmark = pytest.mark.usefixtures("standard_promotion", "compiled_lightly")  # optax's own promote

HEADS = [("sigmoid", 1), ("sigmoid", 2), ("softmax", 3), ("identity", 1), ("identity", 2), ("exp", 2)]
far_from_minimum = pytest.mark.filterwarnings("ignore:the network is not at a minimum")


def teacher(n_h=2, m=60, noise=0.1, seed=0, n_x=1, dtype=np.float64):
    """A tanh network with an identity head, and noisy data that it has made."""
    rng = np.random.default_rng([n_h, m, seed])
    W1, b1 = rng.normal(0, 2, (n_h, n_x)), rng.normal(0, 1, (n_h, 1))
    W2, b2 = rng.choice([-1.0, 1.0], (1, n_h)) * rng.uniform(0.7, 1.5, (1, n_h)), np.zeros((1, 1))
    params = js.Params(*(W.astype(dtype) for W in (W1, b1, W2, b2)), hidden="tanh", output="identity")
    X = rng.uniform(-2, 2, (n_x, m)).astype(dtype)
    Y = np.asarray(js.forward(params, X).A2) + noise * rng.normal(size=(1, m))
    return params, X, Y.astype(dtype)


def trained(params, X, Y, epochs=100, **options):
    return js.fit(params, X, Y, optimizer=js.levenberg_marquardt(), epochs=epochs, **options).params


def dense(case, noise):
    """A and its parts in NumPy: the prior's precisions, and the parameters that decay, as a mask."""
    params, X, Y, weights, l2 = case
    sizes = [W.size for W in jax.tree.leaves(params)]
    decays = np.repeat([1.0, 0.0, 1.0, 0.0], sizes)
    J = np.asarray(jax.jit(js.jacobian)(params, X))
    A2 = reference_forward(params, X)[3]
    each = {
        "sigmoid": lambda a: np.diag(a * (1 - a)),
        "softmax": lambda a: np.diag(a) - np.outer(a, a),
        "identity": lambda a: np.eye(len(a)),
        "exp": np.diag,
    }[params.output]
    β = 1 / noise**2
    prior = decays * β * l2 + (1 - decays) / BIAS_DEVIATION**2
    A = np.diag(prior)
    for i, w in enumerate(weights):
        A += β * w * J[:, :, i].T @ each(A2[:, i]) @ J[:, :, i]
    return A, prior, decays, J, β, each


# ---- the posterior and its evidence ----


@far_from_minimum
@pytest.mark.parametrize(("output", "n_y"), HEADS)
def test_the_posterior_and_its_evidence_are_those_of_dense_algebra(output, n_y, x64):
    case = draw("tanh", output, n_y)
    params, X, Y, weights, l2 = case
    noise = 0.7 if output == "identity" else 1.0
    given = {"noise": noise} if output == "identity" else {}
    posterior = js.laplace(params, X, Y, l2=l2, weights=weights, **given)
    A, prior, decays, J, β, _ = dense(case, noise)
    covariance, θ = np.linalg.inv(A), np.asarray(ravel_pytree(params)[0])
    assert_close(posterior.root.T @ posterior.root, covariance, "float64")

    log_p = {
        "identity": lambda: -0.5 * np.log(2 * np.pi * noise**2) * n_y - reference_losses(params, X, Y) / noise**2,
        "exp": lambda: (Y * np.log(np.exp(reference_forward(params, X)[2])) - reference_forward(params, X)[3]
                        - scipy.special.gammaln(Y + 1)).sum(axis=0),
    }.get(output, lambda: -reference_losses(params, X, Y))()  # fmt: skip
    log_prior = np.sum(np.log(prior / (2 * np.pi)) - prior * θ**2) / 2
    volume = len(θ) / 2 * np.log(2 * np.pi) - np.linalg.slogdet(A)[1] / 2
    assert_close(posterior.log_evidence, weights @ log_p + log_prior + volume, "float64")

    γ = 1 - prior * np.diag(covariance)
    assert_close(posterior.effective_parameters, γ.sum(), "float64")
    assert_close(posterior.next_l2, (decays * γ).sum() / (decays * θ**2).sum() / β, "float64")


def test_the_noise_is_what_the_effective_parameters_leave(x64):
    params, X, Y = teacher()
    params = trained(params, X, Y, l2=0.01)
    posterior = js.laplace(params, X, Y, l2=0.01)
    left = Y.size - posterior.effective_parameters
    # γ hangs on the noise by the biases' prior alone: 1e-2 beside β Σw G of 1e4 or so.
    np.testing.assert_allclose(posterior.noise**2, np.sum((js.forward(params, X).A2 - Y) ** 2) / left, rtol=1e-5)
    assert 0.08 < posterior.noise < 0.12  # 0.1 drew the data, ± 1 / √(2 · 60)


def test_the_evidence_is_an_integral(x64):
    # The smallest network, and data enough for a Gaussian: over a grid in the posterior's own axes.
    params, X, Y = teacher(n_h=1, m=200)
    l2, noise = 0.02, 0.1
    params = trained(params, X, Y, l2=l2)
    posterior = js.laplace(params, X, Y, l2=l2, noise=noise)
    θ, step = np.asarray(ravel_pytree(params)[0]), 0.5
    axis = np.arange(-4.5, 4.6, step)
    grid = np.stack(np.meshgrid(*[axis] * 4, indexing="ij")).reshape(4, -1)
    w1, b1, w2, b2 = (θ[:, None] + np.asarray(posterior.root).T @ grid)[:, :, None]
    energy = ((w2 * np.tanh(w1 * X[0] + b1) + b2 - Y[0]) ** 2).sum(axis=1) / (2 * noise**2)
    α, α_b = l2 / noise**2, 1 / BIAS_DEVIATION**2
    energy += (α * (w1**2 + w2**2) + α_b * (b1**2 + b2**2))[:, 0] / 2
    constant = -Y.size / 2 * np.log(2 * np.pi * noise**2) + np.log(α * α_b / (2 * np.pi) ** 2)
    volume = np.log(step) * 4 + np.log(np.abs(np.diag(posterior.root))).sum()
    integral = constant + volume + scipy.special.logsumexp(-energy)
    # What is not Gaussian is of the order 1/m, times a few for four parameters; a factor 2π would be 1.8.
    assert abs(posterior.log_evidence - integral) < 0.05


def test_more_parameters_than_examples_leave_the_rest_to_the_prior(x64):
    params, X, Y = teacher(n_h=20, m=10)
    posterior = js.laplace(trained(params, X, Y, l2=0.1, epochs=1000), X, Y, l2=0.1, noise=0.1)
    assert 0 < posterior.effective_parameters < 10 < ravel_pytree(params)[0].size
    assert np.isfinite(posterior.log_evidence)


# ---- predictions ----


def test_intervals_cover_what_they_say(x64):
    params, X, Y = teacher(m=2060)
    posterior = js.laplace(trained(params, X[:, :60], Y[:, :60], l2=0.01), X[:, :60], Y[:, :60], l2=0.01)
    mean, deviation = posterior.predict(X[:, 60:])
    z = np.abs(Y[:, 60:] - mean) / deviation
    for share, bound in ((0.5, 0.674), (0.8, 1.282), (0.95, 1.960)):
        # The noise is known to 1/√(2 · 60) = 9 %, which moves the 80 % interval by 4 points.
        assert abs((z < bound).mean() - share) < 0.08
    _, of_mean = posterior.predict(X[:, 60:], include_noise=False)
    assert_close(deviation**2 - of_mean**2, np.full(deviation.shape, posterior.noise**2), "float64")
    # 7 parameters of 60 examples: the mean square of J A⁻¹ Jᵀ is about γ/m · noise².
    expected = posterior.effective_parameters / 60 * posterior.noise**2
    assert 0.7 < np.mean(of_mean**2) / expected < 1.4


@far_from_minimum
@pytest.mark.parametrize(("output", "n_y"), [("sigmoid", 2), ("softmax", 3), ("identity", 2), ("exp", 2)])
def test_predictions_are_means_over_the_posterior_of_the_outputs(output, n_y, x64):
    # The outputs are Gaussian, with the covariance J A⁻¹ Jᵀ: what follows from that is checked by sampling them.
    case = draw("tanh", output, n_y, m=40)
    params, X, Y, weights, l2 = case
    noise = 0.7 if output == "identity" else 1.0
    posterior = js.laplace(params, X, Y, l2=1.0, **({"noise": noise} if output == "identity" else {}))
    A, _, _, J, *_ = dense(case._replace(weights=np.ones(40), l2=1.0), noise)
    S = np.einsum("kpm,pq,lqm->mkl", J, np.linalg.inv(A), J)
    Z2, rng = reference_forward(params, X)[2], np.random.default_rng(0)
    draws = 20_000
    sampled = Z2.T[:, None] + np.einsum("mkl,mnl->mnk", np.linalg.cholesky(S), rng.normal(size=(40, draws, n_y)))
    if output == "identity":
        mean, deviation = posterior.predict(X)
        assert_close((mean, deviation**2), (Z2, np.einsum("mkk->km", S) + noise**2), "float64")
    elif output == "exp":
        mean, deviation = posterior.predict(X)
        counts = rng.poisson(np.exp(sampled))
        # A sum of heavy tails: of 20,000 draws the mean is known to about 2 % where s² is near 1.
        np.testing.assert_allclose(mean, counts.mean(axis=1).T, rtol=0.05)
        np.testing.assert_allclose(deviation, counts.std(axis=1).T, rtol=0.25)
    else:
        A2 = {"sigmoid": scipy.special.expit, "softmax": lambda Z: scipy.special.softmax(Z, axis=-1)}[output](sampled)
        moderated = posterior.predict_proba(X)
        error, unmoderated = (np.abs(a - A2.mean(axis=1).T).max() for a in (moderated, js.forward(params, X).A2))
        # The approximation errs by up to 0.02 for two classes, and by little more for three.
        assert error < 0.03 < unmoderated


@far_from_minimum
@pytest.mark.parametrize(("output", "n_y"), [("softmax", 3), ("identity", 2)])
def test_predictions_run_in_tiles_and_under_jit(output, n_y, x64, monkeypatch):
    params, X, Y, *_ = draw("tanh", output, n_y, m=50)
    posterior = js.laplace(params, X, Y, l2=0.3)

    def predicted(posterior, X):
        return posterior.predict_proba(X) if output == "softmax" else posterior.predict(X)

    whole = predicted(posterior, X)
    monkeypatch.setattr(jacobians, "JACOBIAN", 3 * 30 * 16)
    assert_close(predicted(posterior, X), whole, "float64")
    many = np.zeros((3, 5000))
    most = largest_array(lambda X: predicted(posterior, X), many)
    assert most == n_y * many.shape[1] < 5000 * 26  # of P parameters at a time
    at_once = jax.jit(lambda X: predicted(js.laplace(params, X, Y, l2=0.3), X))(X)
    assert_close(at_once, whole, "float64")


def test_single_and_half_precision_are_near_double(x64):
    params, X, Y = teacher()
    params = trained(params, X, Y, l2=0.1)
    double = js.laplace(params, X, Y, l2=0.1)
    single = js.laplace(jax.tree.map(lambda W: W.astype(np.float32), params), X, Y, l2=0.1)
    assert single.root.dtype == np.float32
    # A's condition is 1e4, of which a root loses half the digits of 6e-8 in the deviations, and more in |A|.
    for a, b in zip(single.predict(X), double.predict(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(single.log_evidence, double.log_evidence, rtol=1e-3)


# ---- without an example ----


@far_from_minimum
@pytest.mark.parametrize(("output", "n_y"), [("sigmoid", 1), ("softmax", 3), ("identity", 1), ("exp", 2)])
def test_leave_one_out_and_influence_are_those_of_dense_algebra(output, n_y, x64, monkeypatch):
    case = draw("tanh", output, n_y, m=12)._replace(l2=300.0)  # else the rates of exp go beyond all bounds
    params, X, Y, weights, l2 = case
    noise = 0.7 if output == "identity" else 1.0
    posterior = js.laplace(params, X, Y, l2=l2, weights=weights, **({"noise": noise} if output == "identity" else {}))
    A, _, _, J, β, H = dense(case, noise)
    _, _, Z2, A2 = reference_forward(params, X)
    steps = []
    for i, w in enumerate(weights):
        without = A - β * w * J[:, :, i].T @ H(A2[:, i]) @ J[:, :, i]
        steps.append(np.linalg.solve(without, β * w * J[:, :, i].T @ (A2 - Y)[:, i]))
    ΔZ2 = np.einsum("kpm,mp->km", J, steps)

    def of_head(f, Z2, *Y):  # of networks whose z2 is given
        empty, W2 = np.zeros((1, 1)), np.zeros((n_y, 1))
        heads = [js.Params(empty, empty, W2, z2[:, None], output=output) for z2 in Z2.T]
        return np.concatenate([f(head, empty, *(y[:, [i]] for y in Y)) for i, head in enumerate(heads)], axis=-1)

    found = js.leave_one_out(posterior, X, Y, weights=weights, exact=False)
    assert_close(found, of_head(lambda *network: reference_forward(*network)[3], Z2 + ΔZ2), "float64")
    if (output, n_y) == ("identity", 1):  # the formula of linear models
        h = β * weights * np.einsum("kpm,pq,kqm->m", J, np.linalg.inv(A), J)
        assert_close(found, Z2 + h / (1 - h) * (Z2 - Y), "float64")

    along = np.einsum("kpj,ip->kji", J, steps)
    expected = [of_head(reference_losses, Z2 + along[:, :, i], Y) - reference_losses(params, X, Y) for i in range(12)]
    found = js.influence(posterior, X, Y, X, Y, weights=weights, exact=False)
    assert_close(found, np.stack(expected, axis=1), "float64")
    monkeypatch.setattr(jacobians, "JACOBIAN", 5 * ravel_pytree(params)[0].size * n_y)
    tiles = js.influence(posterior, X, Y, X[:, :7], Y[:, :7], weights=weights, exact=False)
    assert_close(tiles, found[:7], "float64")


@pytest.mark.parametrize("output", ["identity", "softmax"])
def test_leave_one_out_and_influence_are_those_of_true_retraining(output, x64):
    """One step in the place of hundreds: of the changes, 5 % and 15 % are left out (numbers), 20 and 25 % (classes).

    What the step leaves out is of second order in an example's share, γ/m: a seventh of 40, and a fourth of classes.
    """
    most = {"identity": (0.05, 0.15), "softmax": (0.2, 0.25)}[output]
    if output == "identity":
        _, X, Y = teacher(m=40)
        start, l2 = js.init(jax.random.key(1), 1, 3, hidden="tanh", output=output, scale=1.0), 0.1
    else:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(2, 40))
        Y = np.eye(3)[:, np.digitize(X[0] * X[1] + 0.5 * X[0] + 0.5 * rng.normal(size=40), [-0.5, 0.5])]
        start, l2 = js.init(jax.random.key(1), 2, 3, 3, hidden="tanh", output=output, scale=1.0), 1.0
    params = trained(start, X, Y, l2=l2, epochs=300)
    networks = js.trained_without(params, X, Y, range(40), l2=l2)
    A2, L = js.forward(params, X).A2, js.losses(params, X, Y)
    change = np.stack([js.forward(one, X[:, [i]]).A2[:, 0] for i, one in enumerate(networks)], axis=1) - A2
    of_losses = np.stack([js.losses(one, X, Y) - L for one in networks], axis=1)

    posterior = js.laplace(params, X, Y, l2=l2)
    exact, rough = most
    for curvature, error in ((True, exact), (False, 0.5)):
        found = js.leave_one_out(posterior, X, Y, exact=curvature) - A2
        assert np.linalg.norm(found - change) < error * np.linalg.norm(change)
    found = js.influence(posterior, X, Y, X, Y)
    assert np.linalg.norm(found - of_losses) < rough * np.linalg.norm(of_losses)
    assert np.corrcoef(found.ravel(), of_losses.ravel())[0, 1] > 0.97
    assert_close(js.leave_one_out(params, X, Y, l2=l2), js.leave_one_out(posterior, X, Y), "float64")


def test_an_example_to_leave_out_must_be_one():
    params, X, Y = teacher(m=5, dtype=np.float32)
    for examples in ([5], [-1], [0.5], 3):
        with pytest.raises(ValueError, match="examples must be numbers from 0 to 4"):
            js.trained_without(params, X, Y, examples, l2=1.0)


@far_from_minimum
def test_where_the_hessian_is_no_precision_the_gauss_newton_matrix_is(x64):
    params, X, Y, *_ = draw("tanh", "identity", 1, m=12)
    posterior = js.laplace(params, X, Y, l2=0.01)
    assert np.linalg.eigvalsh(jax.jit(js.hessian)(params, X, Y)).min() < 0  # far from a minimum
    assert_close(js.leave_one_out(posterior, X, Y), js.leave_one_out(posterior, X, Y, exact=False), "float64")


@far_from_minimum
def test_leave_one_out_says_what_it_needs():
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match="l2 must be given with a network"):
        js.leave_one_out(params, X, Y)
    posterior = js.laplace(params, X, Y, l2=1.0)
    with pytest.raises(ValueError, match="l2 must not be given with a posterior"):
        js.leave_one_out(posterior, X, Y, l2=1.0)
    with pytest.raises(ValueError, match=r"X_of must be \(n_x, m\)"):
        js.influence(posterior, X, Y, X[:2], Y)
    assert jax.jit(lambda X: js.leave_one_out(posterior, X, Y))(X).shape == Y.shape


# ---- l2, noise and width by the evidence ----


def several(n_h, n=3, output="identity", n_x=1, n_y=1, dtype=np.float64):
    keys = jax.random.split(jax.random.key(0), n)
    return [js.init(key, n_x, n_h, n_y, hidden="tanh", output=output, scale=1.0, dtype=dtype) for key in keys]


def test_the_evidence_finds_l2_and_noise_and_is_highest_there(x64):
    _, X, Y = teacher(m=60)
    found = js.fit_evidence(several(4), X, Y, tol=1e-3)
    assert 0.08 < found.noise < 0.12  # 0.1 drew the data, ± 1 / √(2 · 60)
    assert found.best == np.argmax(found.evidences)
    assert found.evidences.shape == (3,)
    at = found.history.l2.tolist().index(found.l2)
    assert tuple(column[at] for column in found.history) == found[1:4]
    np.testing.assert_allclose(found.posterior.log_evidence, found.log_evidence, rtol=1e-9)

    def log_evidence(factor, of_noise):
        l2 = found.l2 * factor
        params = trained(found.params, X, Y, l2=l2)
        return js.laplace(params, X, Y, l2=l2 * of_noise**-2, noise=found.noise * of_noise).log_evidence

    for factor, of_noise in ((0.5, 1), (2, 1), (1, 0.8), (1, 1.25)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert log_evidence(factor, of_noise) < found.log_evidence


def test_the_evidence_prefers_the_width_that_made_the_data(x64):
    _, X, Y = teacher(n_h=2, m=100)
    found = js.fit_evidence([*several(1, 2), *several(2, 2), *several(8, 2)], X, Y)
    of_1, of_2, of_8 = found.evidences.reshape(3, 2).max(axis=1)
    assert of_2 > of_1 + 10
    assert of_2 > of_8 - 1  # units that are not needed are switched off, and cost next to nothing
    assert len(found.params.W1) > 1


def test_the_evidence_of_classes_and_a_given_noise(x64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2, 150))
    Y = (X[:1] * X[1:] + 0.3 * rng.normal(size=150) > 0).astype(float)
    found = js.fit_evidence(several(4, 2, "sigmoid", 2), X, Y, rounds=20, tol=0.05)
    assert found.noise is found.posterior.noise is found.history.noise is None
    assert found.log_evidence > -150 * np.log(2) + 10  # what chance has
    _, X, Y = teacher(m=60)
    assert js.fit_evidence(several(4), X, Y, noise=0.2).noise == 0.2


def test_fit_evidence_says_what_it_cannot():
    _, X, Y = teacher(m=60, dtype=np.float32)
    (params,) = several(4, 1, dtype=np.float32)
    with pytest.raises(ValueError, match="Y must vary"):
        js.fit_evidence(params, X, np.ones_like(Y))
    with pytest.raises(ValueError, match="noise must be given for one example"):
        js.fit_evidence(params, X[:, :1], Y[:, :1])
    with pytest.raises(ValueError, match="at least one network"):
        js.fit_evidence([], X, Y)
    with pytest.raises(ValueError, match="params must have one output and dtype"):
        js.fit_evidence([params, *several(4, 1, "sigmoid", dtype=np.float32)], X, Y)
    with pytest.raises(TypeError, match="fit_evidence needs numbers"):
        jax.jit(lambda X: js.fit_evidence(params, X, Y).log_evidence)(X)
    with pytest.warns(UserWarning, match="not come to rest: the last step of 1 rounds was from .*; raise rounds"):
        found = js.fit_evidence(params, X, Y, rounds=1)
    assert found.params.W1.dtype == np.float32


def test_where_the_dtype_holds_no_further_posterior_the_last_one_stays(monkeypatch):
    """As in single precision of targets without noise, whose l2 goes down for ever."""
    _, X, Y = teacher(m=60, dtype=np.float32)
    looked_at, rounds = evidence.looked_at, []

    def fails_later(networks, task, l2s):
        rounds.append(looked_at(networks, task, l2s))
        return rounds[0] if len(rounds) == 1 else np.full_like(rounds[0], np.nan)

    monkeypatch.setattr(evidence, "looked_at", fails_later)
    with pytest.warns(UserWarning, match="no posterior in float32 after the step from 0.1 to .*; use float64"):
        found = js.fit_evidence(several(4, 1, dtype=np.float32), X, Y, l2=0.1)
    assert found.l2 == np.float32(0.1)
    assert found.log_evidence == rounds[0][1, 0]
    np.testing.assert_allclose(found.posterior.log_evidence, found.log_evidence, rtol=1e-4)  # of the same network


def climbed(evidence_of, next_l2_of, first, rounds=30, tol=0.02):
    """A climb on made evidence, until it rests."""

    (network,) = several(2, 1, dtype=np.float32)

    def point(l2):
        return Point(l2, 1.0, evidence_of(l2), next_l2_of(l2), jax.tree.map(lambda W: 1e3 * W, network)).within(
            1e-10, 1e10
        )

    climb = Climb([point(l2) for l2 in first], tol)
    for _ in range(rounds):
        if climb.moves:
            climb.points.append(point(climb.next_l2))
    assert not climb.moves
    return climb


@pytest.mark.parametrize("first", [evidence.FIRST, [0.5, 20.0]])
@pytest.mark.parametrize("bias", [0.3, 1.0, 3.0])
def test_no_step_lowers_the_evidence_and_the_top_is_found_where_mackays_step_leads_past_it(first, bias):
    top, fixed_point = 7.0, 7.0 * bias**1.25  # below this, what is called the evidence is none
    climb = climbed(lambda l2: -(np.log(l2 / top) ** 2), lambda l2: top * bias * (l2 / top) ** 0.2, list(first))
    assert abs(np.log(climb.best.l2 / max(top, fixed_point))) < 0.15
    assert len(climb.points) < 20


def test_of_targets_that_are_noise_the_network_is_switched_off(x64, little_optimization):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, 50)), rng.normal(size=(1, 50))
    found = js.fit_evidence(several(3, 2, n_x=2), X, Y)
    assert found.posterior.effective_parameters < 1.5  # the mean of Y
    assert abs(found.noise - Y.std()) < 0.05


def test_a_climb_begins_where_there_is_a_posterior_and_stops_at_the_edge_of_it():
    climb = climbed(lambda l2: -l2 if l2 > 0.3 else np.nan, lambda l2: l2 / 5, [1e-3])
    assert 0.3 < climb.best.l2 < 0.4
    assert climb.at_an_edge


# ---- wrong labels ----


def area_under_curve(scores, true):
    """The share of pairs, one true and one not, in which the true one has the higher score."""
    return (scores[true][:, None] > scores[~true][None]).mean()


def test_label_audit_finds_wrong_labels_of_digits():
    digits = sklearn.datasets.load_digits(n_class=5)
    X = digits.images[:200].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(200, 16).T.astype(np.float32) / 8 - 1
    rng = np.random.default_rng(0)
    flipped = np.isin(np.arange(200), rng.choice(200, 10, replace=False))
    labels = np.where(flipped, (digits.target[:200] + rng.integers(1, 5, 200)) % 5, digits.target[:200])
    Y = np.eye(5, dtype=np.float32)[:, labels]
    starts = several(6, 2, "softmax", 16, n_y=5, dtype=np.float32)
    found = js.label_audit(starts, X, Y, l2=1.0, epochs=40)
    # Ten wrong labels of 200: chance has 0.5, and a single one that looks right costs up to 0.1.
    assert area_under_curve(found.losses, flipped) > 0.95
    assert_same(found.order, np.argsort(-found.losses, kind="stable"))
    # The mean prediction without the example names the digit that was there before.
    assert (found.A2.argmax(axis=0) == digits.target[:200])[flipped].mean() > 0.7


# ---- what cannot be ----


def test_what_is_no_posterior_is_refused_with_a_way_out():
    params, X, Y = teacher(dtype=np.float32)
    with pytest.raises(ValueError, match="l2 must be above 0 and finite, got 0"):
        js.laplace(params, X, Y, l2=0)
    with pytest.raises(ValueError, match="noise must be above 0"):
        js.laplace(params, X, Y, l2=1.0, noise=0)
    with pytest.raises(ValueError, match="noise must be given for one example"):
        js.laplace(params, X[:, :1], Y[:, :1], l2=1.0)
    constant = jax.tree.map(np.zeros_like, params)
    with pytest.raises(ValueError, match="noise must be given where the network fits every target exactly"):
        js.laplace(constant, X, np.zeros_like(Y), l2=1.0)
    with pytest.raises(ValueError, match=r"as there are targets \(Σw n_y − γ = .*Weights must count examples"):
        js.laplace(params, X, Y, l2=1e-3, weights=np.full(60, 1e-2, np.float32))
    wide = js.init(jax.random.key(0), 1, 20, hidden="tanh", output="identity", scale=1.0)
    with pytest.raises(ValueError, match="must have a Cholesky factor, and has none in float32: raise l2, scale X"):
        js.laplace(wide, X, Y, l2=1e-12, noise=1e-6)  # 61 pivots of size 1e-12 to 1e14: some are rounded below 0
    binary, X, Y, *_ = draw(dtype=np.float32)
    with pytest.raises(ValueError, match="noise must be None for output='sigmoid'"):
        js.laplace(binary, X, Y, l2=1.0, noise=1.0)
    wide = js.init(jax.random.key(0), n_x=999, n_h=100)
    with pytest.raises(ValueError, match=r"laplace must be of at most 20,000 parameters, got 100,101.*fewer hidden"):
        js.laplace(wide, jnp.ones((999, 2)), jnp.ones((1, 2)), l2=1.0)


def test_a_network_that_is_not_at_a_minimum_is_told_of_with_a_way_out():
    params, X, Y = teacher(dtype=np.float32)
    with pytest.warns(UserWarning, match=r"not at a minimum.* standard deviations .*levenberg_marquardt\(\)"):
        far = js.laplace(jax.tree.map(lambda W: 1.1 * W, params), X, Y, l2=0.1, noise=0.1)
    with pytest.raises(ValueError, match="predict_proba is for classes: for output='identity' use predict"):
        far.predict_proba(X)
    params, X, Y, *_ = draw(dtype=np.float32)
    with pytest.warns(UserWarning, match="not at a minimum"):
        far = js.laplace(jax.tree.map(lambda W: 5 * W, params), X, Y, l2=10.0)
    with pytest.raises(ValueError, match="predict is for numbers: for output='sigmoid' use predict_proba"):
        far.predict(X)


def test_one_example_and_a_given_noise_make_a_posterior():
    params, X, Y = teacher(dtype=np.float32)
    params = trained(params, X[:, :1], Y[:, :1], l2=0.1)
    posterior = js.laplace(params, X[:, :1], Y[:, :1], l2=0.1, noise=0.1)
    assert 0 < posterior.effective_parameters < 1


@far_from_minimum
def test_the_posterior_is_one_program_for_every_l2_and_noise():
    params, X, Y = teacher(m=61, dtype=np.float32)
    before = programs_of(compiled_posterior)
    for k in (1.0, 2.0):
        js.laplace(params, X, Y, l2=k, noise=k)
    assert [n for key, n in programs_of(compiled_posterior).items() if key not in before] == [1]


# ---- in other units, and on disk ----


@pytest.mark.parametrize(("output", "n_y"), [("identity", 2), ("softmax", 3)])
@far_from_minimum
def test_a_posterior_of_scaled_data_predicts_in_raw_units(output, n_y, x64, little_optimization):
    params, X, Y, *_ = draw("tanh", output, n_y)
    rng = np.random.default_rng(0)
    features = rng.normal(0, 5, (len(X), 1)), rng.uniform(0.1, 10, (len(X), 1))
    targets = (rng.normal(0, 5, (n_y, 1)), rng.uniform(0.1, 10, (n_y, 1))) if output == "identity" else None
    posterior = js.laplace(params, X, Y, l2=0.3, noise=0.5 if targets else None)
    raw = posterior.unscaled(features, targets)

    X_raw = X * features[1] + features[0]
    if targets is None:
        assert_close(raw.predict_proba(X_raw), posterior.predict_proba(X), "float64")
        return
    mean, deviation = posterior.predict(X)
    assert_close(raw.predict(X_raw)[0], mean * targets[1] + targets[0], "float64")
    assert_close(raw.predict(X_raw)[1], deviation * targets[1], "float64")
    assert_close(
        raw.predict(X_raw, include_noise=False)[1], posterior.predict(X, include_noise=False)[1] * targets[1], "float64"
    )


@pytest.mark.parametrize(("output", "n_y"), [("identity", 1), ("sigmoid", 1)])
@far_from_minimum
def test_a_posterior_comes_back_from_its_file(output, n_y, tmp_path, little_optimization):
    params, X, Y, *_ = draw("tanh", output, n_y, dtype="float32")
    given = {"noise": np.float32(0.5)} if output == "identity" else {}
    posterior = js.laplace(params, X, Y, l2=0.3, **given)
    js.save(tmp_path / "model.safetensors", posterior, {"name": "curve"})

    again = js.load_posterior(tmp_path / "model.safetensors")
    assert_same((again.params, again.root, again.noise), (posterior.params, posterior.root, posterior.noise))
    assert_same(js.load(tmp_path / "model.safetensors"), posterior.params)
    assert js.read_metadata(tmp_path / "model.safetensors") == {"name": "curve"}

    js.save(tmp_path / "network.safetensors", params)
    with pytest.raises(ValueError, match="without error bars"):
        js.load_posterior(tmp_path / "network.safetensors")
    for broken, message in [
        (replace(posterior, root=posterior.root[1:]), "root must be"),
        (replace(posterior, noise=None if output == "identity" else jnp.ones(())), "noise must be"),
    ]:
        js.save(tmp_path / "broken.safetensors", broken)
        with pytest.raises(ValueError, match=message):
            js.load_posterior(tmp_path / "broken.safetensors")
