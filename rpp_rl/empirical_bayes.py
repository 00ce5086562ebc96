"""Learn how strong the priors of a network should be: empirical Bayes with the evidence of its linearization.

Around trained parameters theta, f(x) + J (theta' - theta) is linear in theta'. With theta'_k ~ N(0, s_k^2 I) and
noise N(0, sigma^2) the pseudo-targets z = y - f + J theta are therefore normal with covariance

    C = sigma^2 1 + sum over k of s_k^2 J_k J_k^T,

where k runs over the layers and pathways, and theta are orthonormal coordinates. Where one coordinate stands for two
pathways, it counts in both terms, so that its variance is s_eq^2 + s_res^2. The evidence log N(z; 0, C) is Laplace's
approximation of the marginal likelihood with the Gauss-Newton curvature (MacKay 1992; Immer et al. 2021). `learn`
maximizes it over the s_k and sigma. It is computed in the space of outputs, where it is exact for a subset of them; the
evidence of a subset is a lower bound in expectation (Immer et al. 2023). A diagonal curvature would be cheaper, but
wrong here: a residual has far more parameters than there are data, and the diagonal counts each as if the data
determined it alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rpp_rl.errors import NetworkError
from rpp_rl.priors import GaussianPrior, PriorParameter, layer_parameters, prior_parameters

Key = tuple[str, str]
# Bounds of log s and log sigma for the maximum; a pathway that does not help ends near the lower bound.
LOWEST, HIGHEST = math.log(1e-5), math.log(1e2)


@dataclass(frozen=True, eq=False)
class Linearization:
    """The linearization of a network around its parameters, for some outputs of some examples.

    Attributes:
        kernels: J_k J_k^T for each group of parameters, shape (m, m), float64.
        targets: z = y - f + J theta, shape (m,), over the groups in `kernels`.
    """

    kernels: dict[Key, Tensor]
    targets: Tensor


@dataclass(frozen=True)
class Learned:
    """The maximum of the evidence.

    Attributes:
        prior: standard deviations s_k of the groups; those of parameters in neither pathway are unchanged.
        noise: sigma.
        log_evidence: log N(z; 0, C), per output.
    """

    prior: GaussianPrior
    noise: float
    log_evidence: float


def linearize(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Linearization:
    """Linearize a network in the parameters of both pathways; parameters in neither are constants.

    Args:
        network: computes one row per example.
        x: examples, shape (m, n_in); memory grows as m times the number of parameters.
        y: targets, shape (m, n_out); one output of each example, drawn at random, is used.
        generator: draws the outputs.
    """
    found = [p for p in prior_parameters(network) if p.pathway != "plain"]
    order = {key: i for i, key in enumerate(layer_parameters(network))}
    found.sort(key=lambda p: order[p.key])
    rows: dict[Key, list[Tensor]] = {p.key: [] for p in found}
    members = {key: [i for i, p in enumerate(found) if _counts_in(p, key)] for key in rows}
    targets = []
    chosen = torch.randint(y.shape[1], (len(x),), generator=generator).tolist()
    flat = [p.parameter for p in found]
    for example, target, output in zip(x, y, chosen, strict=True):
        value = network(example[None])[0, output]
        gradients = torch.autograd.grad(value, flat, allow_unused=True, materialize_grads=True)
        linear = target[output] - value.detach()
        parts = []
        for p, gradient in zip(found, gradients, strict=True):
            linear = linear + (gradient * p.parameter.detach()).sum()
            parts.append((gradient if p.scale is None else gradient / p.scale).flatten())
        for key, numbers in members.items():
            rows[key].append(torch.cat([parts[i] for i in numbers]))
        targets.append(linear)
    stacked = {key: torch.stack(found_rows) for key, found_rows in rows.items()}
    return Linearization({k: (J @ J.T).double() for k, J in stacked.items()}, torch.stack(targets).double())


def _counts_in(parameter: PriorParameter, key: Key) -> bool:
    """Whether the variance of a parameter's coordinates has the term of a key."""
    shared = parameter.orthogonal and parameter.key == (key[0], "equiv") and key[1] == "basic"
    return parameter.key == key or shared


def log_evidence(linearization: Linearization, log_stds: Tensor, log_noise: Tensor) -> Tensor:
    """Log N(z; 0, C) for log s_k, in the order of the kernels, and log sigma; a differentiable scalar."""
    kernels = torch.stack(list(linearization.kernels.values()))
    z = linearization.targets
    one = torch.eye(len(z), dtype=z.dtype, device=z.device)
    C = torch.einsum("k,kij->ij", (2 * log_stds).exp().to(z), kernels) + (2 * log_noise).exp().to(z) * one
    # Rounding can make C indefinite if kernels are large and the noise is small.
    factor = torch.linalg.cholesky(C + 1e-9 * C.diagonal().mean() * one)
    whitened = torch.linalg.solve_triangular(factor, z[:, None], upper=False)
    density: Tensor = -0.5 * whitened.square().sum() - factor.diagonal().log().sum()
    return density - 0.5 * len(z) * math.log(2 * math.pi)


@torch.no_grad()
def effective_parameters(prior: GaussianPrior, linearization: Linearization, noise: float) -> dict[Key, float]:
    """How many parameters of each group the data determine: gamma_k = s_k^2 tr(C^-1 J_k J_k^T) (MacKay 1992).

    The sum over the groups is at most the number of outputs in the linearization. If gamma of a residual is near zero,
    its prior determines it: the equivariant pathway fits the data, and the layer could be exactly equivariant. If it
    has a large part of the sum, the data break the symmetry.

    Args:
        prior: standard deviations s_k of the network's groups.
        linearization: linearization of the network.
        noise: sigma.
    """
    z = linearization.targets
    scaled = {key: prior.stds[key] ** 2 * kernel for key, kernel in linearization.kernels.items()}
    C = torch.stack(list(scaled.values())).sum(0) + noise**2 * torch.eye(len(z), dtype=z.dtype, device=z.device)
    factor = torch.linalg.cholesky(C)
    return {key: float(torch.cholesky_solve(kernel, factor).trace()) for key, kernel in scaled.items()}


def learn(
    prior: GaussianPrior, linearization: Linearization, noise: float, steps: int = 300, pooled: bool = False
) -> Learned:
    """Maximize the evidence over the variances and the noise, starting from a prior and a noise.

    Args:
        prior: initial standard deviations; those of the pathways must be finite.
        linearization: linearization of the network.
        noise: initial sigma.
        steps: steps of Adam on the logarithms.
        pooled: scale all standard deviations of a pathway by one factor, instead of each layer separately. A few
            hundred outputs distinguish the pathways, but hardly the layers of one pathway.

    Raises:
        NetworkError: if the prior belongs to another network or is flat, or the linearization is not finite.
    """
    keys = list(linearization.kernels)
    stds = [prior.stds.get(key, math.nan) for key in keys]
    if not all(math.isfinite(s) for s in stds):
        raise NetworkError("cannot start from this prior: give one of the same network with finite standard deviations")
    if not all(bool(t.isfinite().all()) for t in (linearization.targets, *linearization.kernels.values())):
        raise NetworkError("the network's outputs or gradients are not finite; train it with a lower learning rate")
    device = linearization.targets.device
    start = torch.tensor([*stds, noise], dtype=torch.float64).log().clamp(LOWEST, HIGHEST).to(device)
    kinds = [*((pathway if pooled else (layer, pathway)) for layer, pathway in keys), "noise"]
    which = torch.tensor([list(dict.fromkeys(kinds)).index(kind) for kind in kinds], device=device)
    factors = torch.zeros(int(which.max()) + 1, dtype=torch.float64, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([factors], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        logs = (start + factors[which]).clamp(LOWEST, HIGHEST)
        loss = -log_evidence(linearization, logs[:-1], logs[-1])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        logs = (start + factors[which]).clamp(LOWEST, HIGHEST)
        value = float(log_evidence(linearization, logs[:-1], logs[-1])) / len(linearization.targets)
    found = dict(zip(keys, logs[:-1].exp().tolist(), strict=True))
    return Learned(GaussianPrior({**prior.stds, **found}), math.exp(float(logs[-1])), value)
