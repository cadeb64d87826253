"""Autoencoders: AE, VAE, β-VAE, WAE-MMD and WAE-GAN, with labels or without, as one update rule.

All of them minimise, over encoder and decoder, ::

    mean of  -log p(x | z)  +  weight · regulariser,        z from the encoder

and differ in the regulariser and in whether the code is drawn:

===========  ====================  ===============================================================================
objective    code                  regulariser
===========  ====================  ===============================================================================
``ae``       the mean              none
``vae``      drawn from q(z | x)   KL[q(z | x) ‖ N(0, I)]; weight 1 is the ELBO, another the β of the β-VAE
``wae_mmd``  the mean              unbiased MMD² between the codes and the prior
``wae_gan``  the mean              -log D(z): a discriminator of codes, with a step of its own
===========  ====================  ===============================================================================

Sources: Kingma & Welling (2014) and Rezende et al. (2014) for the VAE, Higgins et al. (2017) for β, Sohn et al. (2015)
for labels, Tolstikhin et al. (2018) for the WAE. `Autoencoder` has the two updates that `ganbook.training.train` asks
for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ganbook.errors import InputError, unknown_name
from ganbook.losses import get_loss
from ganbook.models.autoencoder_terms import (
    FIXED_VARIANCE,
    LIKELIHOODS,
    Codes,
    Images,
    Values,
    bernoulli_nll,
    best_variance,
    gaussian_kl,
    gaussian_nll,
    get_kernel,
    mmd2_estimate,
    reparameterise,
)
from ganbook.models.gan import check_label_range, check_latents, frozen
from ganbook.nn.autoencoders import Encoder, LatentDiscriminator
from ganbook.nn.dcgan import Generator

OBJECTIVES = ("ae", "vae", "wae_mmd", "wae_gan")


@dataclass(frozen=True)
class Kind:
    """What one of the names in `KINDS` stands for."""

    objective: str
    conditional: bool  # the label goes into encoder and decoder
    weight: float  # of the regulariser


KINDS = {
    "ae": Kind("ae", False, 1.0),
    "cae": Kind("ae", True, 1.0),
    "vae": Kind("vae", False, 1.0),
    "cvae": Kind("vae", True, 1.0),
    "wae": Kind("wae_mmd", False, 100.0),
    "cwae": Kind("wae_mmd", True, 100.0),
    "wae_gan": Kind("wae_gan", False, 10.0),
    "cwae_gan": Kind("wae_gan", True, 10.0),
}


def build(
    kind: str,
    *,
    resolution: int,
    channels: int,
    n_classes: int,
    latent_dim: int,
    width: int = 24,
    likelihood: str = "bernoulli",
    weight: float | None = None,
    kernel: str = "imq",
    lr: float = 1e-3,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Autoencoder:
    """The autoencoder called ``kind`` with DCGAN's networks, initialised from its seed.

    Args:
        kind: a name in `KINDS`.
        resolution: 28, 32 or 64 pixels.
        channels: 1 for grey, 3 for colour.
        n_classes: of the data; used by the conditional kinds.
        latent_dim: length of the code.
        width: feature maps of the encoder's first and the decoder's last hidden layer.
        likelihood, kernel, lr, device: as in `Autoencoder`.
        weight: of the regulariser; None for the kind's own.
        seed: of networks and codes.

    Raises:
        InputError: an unknown name, or a conditional kind for data without classes.
    """
    if kind not in KINDS:
        raise unknown_name("autoencoder", kind, KINDS)
    row = KINDS[kind]
    if row.conditional and n_classes < 1:
        raise InputError(f"A {kind} reads class labels and these data have none. Choose {kind[1:]} instead.")
    classes = n_classes if row.conditional else 0
    sizes = {"resolution": resolution, "channels": channels, "latent_dim": latent_dim, "n_classes": classes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = Encoder(width=width, **sizes), Generator(width=width, **sizes)
        critic = None
        if row.objective == "wae_gan":
            critic = LatentDiscriminator(latent_dim=latent_dim, n_classes=classes)
    return Autoencoder(
        encoder,
        decoder,
        objective=row.objective,
        likelihood=likelihood,
        weight=row.weight if weight is None else weight,
        kernel=kernel,
        critic=critic,
        lr=lr,
        seed=seed,
        device=device,
    )


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Within the block the networks are in evaluation mode and no graph is kept."""
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)


class Autoencoder:
    """Encoder, decoder, an objective and what updates them.

    Args:
        encoder: maps `(x, y)` to `(N, 2, latent_dim)`, mean and log-variance.
        decoder: maps `(z, y)` to images in [-1, 1]: a GAN's generator.
        objective: one of `OBJECTIVES`.
        likelihood: of a pixel. `"bernoulli"`; `"gaussian"` with variance ½ (the squared distance); or `"learned"`,
            Gaussian with the variance that suits the reconstruction errors best.
        weight: of the regulariser: β or λ.
        kernel: of WAE-MMD, `"imq"` or `"rbf"`.
        critic: WAE-GAN's discriminator of codes.
        lr: Adam's learning rate (the critic's is a half of it).
        seed: of the codes' own random stream.
        device: where the networks live.

    Raises:
        InputError: an unknown name, a weight that is not positive, or a WAE-GAN without its discriminator.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        objective: str = "vae",
        likelihood: str = "bernoulli",
        weight: float = 1.0,
        kernel: str = "imq",
        critic: LatentDiscriminator | None = None,
        lr: float = 1e-3,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if objective not in OBJECTIVES:
            raise unknown_name("objective", objective, OBJECTIVES)
        if likelihood not in LIKELIHOODS:
            raise unknown_name("likelihood", likelihood, LIKELIHOODS)
        if not 0 < weight < math.inf:
            raise InputError(f"The regulariser's weight is a positive number, got {weight}; objective='ae' has none.")
        if (objective == "wae_gan") != (critic is not None):
            raise InputError("A discriminator of codes belongs to objective='wae_gan', and to no other: pass critic.")
        self.device = torch.device(device)
        self.encoder, self.decoder, self.critic = encoder.to(self.device), decoder.to(self.device), critic
        for network in (self.encoder, self.decoder):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.latent_dim, self.n_classes = cast(int, decoder.latent_dim), cast(int, decoder.n_classes)
        self.objective, self.likelihood, self.weight = objective, likelihood, weight
        self.kernel = get_kernel(kernel, self.latent_dim)
        self.variance = torch.tensor(FIXED_VARIANCE, device=self.device)
        parameters = [*encoder.parameters(), *decoder.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr, fused=True)
        if self.critic is not None:
            self.critic.to(self.device)
            self.optimizer_critic = torch.optim.Adam(self.critic.parameters(), lr / 2, (0.5, 0.999), fused=True)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self._terms = torch.zeros(
            3, device=self.device
        )  # sums since they were read: reconstruction, regulariser, steps

    def prior(self, n: int) -> Codes:
        """Draws `(n, latent_dim)` from N(0, I), of the autoencoder's own stream."""
        return torch.randn(n, self.latent_dim, generator=self.rng, device=self.device)

    def reconstruction_nll(self, x: Images, reconstruction: Images) -> Values:
        """``-log p(x | z)`` of each image under the likelihood, in nats."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(x, reconstruction)
        return gaussian_nll(x, reconstruction, self.variance)

    def discriminator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """WAE-GAN: one step of the discriminator of codes. The other objectives have none and return 0.

        Returns:
            The mean loss before the step, detached, on the device.
        """
        if self.critic is None:
            return torch.zeros((), device=self.device)
        with torch.no_grad():
            codes = self.encoder(real, labels)[:, 0]
        loss = get_loss("minimax").d(self.critic(self.prior(len(real)), labels), self.critic(codes, labels)).mean()
        self.optimizer_critic.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer_critic.step()
        return loss.detach()

    def generator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """One step of encoder and decoder.

        Returns:
            The mean objective before the step, detached, on the device.
        """
        mean, log_var = self.encoder(real, labels).unbind(1)
        z = reparameterise(mean, log_var, self.rng) if self.objective == "vae" else mean
        reconstruction = self.decoder(z, labels)
        if self.likelihood == "learned":
            self.variance = best_variance(real, reconstruction)
        nll = self.reconstruction_nll(real, reconstruction).mean()
        regulariser = self._regulariser(mean, log_var, labels)
        loss = nll + self.weight * regulariser
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._terms += torch.stack([nll.detach(), regulariser.detach(), torch.ones_like(nll)])
        return loss.detach()

    def _regulariser(self, mean: Codes, log_var: Codes, labels: Tensor | None) -> Float[Tensor, ""]:
        if self.objective == "vae":
            return gaussian_kl(mean, log_var).mean()
        if self.objective == "wae_mmd":
            return mmd2_estimate(self.prior(len(mean)), mean, self.kernel, labels if self.n_classes else None)
        if self.critic is not None:
            with frozen(self.critic):
                logits = self.critic(mean, labels)
            return get_loss("nonsaturating").g(logits, logits).mean()
        return mean.new_zeros(())

    def read_terms(self) -> dict[str, float]:
        """Means of ``reconstruction`` and ``regulariser`` (unweighted, nats for a VAE) since the last call."""
        nll, regulariser, steps = self._terms.tolist()
        self._terms.zero_()
        return {"reconstruction": nll / max(steps, 1), "regulariser": regulariser / max(steps, 1)}

    def posterior(self, x: Images, labels: Int[Tensor, " n"] | None = None) -> tuple[Codes, Codes]:
        """Means and log-variances of the codes of images, in evaluation mode, on the CPU."""
        check_label_range(labels, self.n_classes)
        with evaluating(self.encoder):
            parts = [self.encoder(*part).cpu() for part in self._parts(x, labels)]
        mean, log_var = torch.cat(parts).unbind(1)
        return mean, log_var

    def codes(self, x: Images, labels: Int[Tensor, " n"] | None = None, *, seed: int = 0) -> Codes:
        """The codes that the decoder is trained on: drawn from q(z | x) by a VAE, else the means."""
        mean, log_var = self.posterior(x, labels)
        return reparameterise(mean, log_var, torch.Generator().manual_seed(seed)) if self.objective == "vae" else mean

    def sample(self, z: Codes, labels: Int[Tensor, " n"] | None = None) -> Images:
        """Images of codes, in evaluation mode, on the CPU.

        Raises:
            InputError: codes of the wrong length, or a label that is not a class.
        """
        check_latents(z, self.latent_dim)
        check_label_range(labels, self.n_classes)
        with evaluating(self.decoder):
            return torch.cat([self.decoder(*part).cpu() for part in self._parts(z, labels)])

    def elbo(self, x: Images, labels: Int[Tensor, " n"] | None = None, *, seed: int = 0) -> Values:
        """One-draw estimates of ``E log p(x | z) - KL[q(z | x) ‖ p(z)]`` in nats, whatever the weight."""
        mean, log_var = self.posterior(x, labels)
        z = reparameterise(mean, log_var, torch.Generator().manual_seed(seed))
        nll = self.reconstruction_nll(x.to(self.device), self.sample(z, labels).to(self.device)).cpu()
        return -nll - gaussian_kl(mean, log_var)

    def _parts(self, first: Tensor, labels: Tensor | None, size: int = 500) -> Iterator[tuple[Tensor, Tensor | None]]:
        for start in range(0, len(first), size):
            y = None if labels is None or not self.n_classes else labels[start : start + size].to(self.device)
            yield first[start : start + size].to(self.device), y
