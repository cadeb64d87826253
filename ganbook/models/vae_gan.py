"""VAE/GAN: a VAE whose decoder is a GAN's generator, with the discriminator's features for pixels.

Larsen et al. (2016), Algorithm 1; with labels in all three networks a CVAE-GAN (compare Bao et al. 2017). With x a
picture, z ~ q(z | x) its code, z_p ~ N(0, I), and D_l the discriminator's features after its l-th convolution::

    L_prior = KL[q(z | x) ‖ N(0, I)]
    L_llike = ½ ‖D_l(x) - D_l(dec(z))‖²                    -log N(D_l(x); D_l(dec(z)), I) without its constant
    L_GAN   = -log D(x) - log(1 - D(dec(z_p))) - log(1 - D(dec(z)))

    encoder         descends  L_prior + L_llike
    decoder         descends  γ L_llike - L_GAN
    discriminator   descends  L_GAN

L_GAN is the discriminator's cross-entropy. The paper prints it without the minus signs, and under that sign the last
two lines of its algorithm would both lead the wrong way; the lines are kept, and the sign is the one that they need.
γ trades content, what the picture shows, for style, how real it looks. Each network receives the gradient of its own
line and of nothing else: the discriminator does not learn to make L_llike small, which it could by having no features,
and the encoder does not learn to fool it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim.swa_utils import AveragedModel

from ganbook.errors import InputError
from ganbook.losses import get_loss
from ganbook.models.autoencoder import evaluating
from ganbook.models.autoencoder_terms import Codes, Images, Values, gaussian_kl, reparameterise
from ganbook.models.gan import check_label_range, check_latents, ema_average, frozen, standing_statistics
from ganbook.nn.autoencoders import Encoder
from ganbook.nn.dcgan import Discriminator, Generator


def features_at(discriminator: Discriminator, x: Images, layer: int) -> Float[Tensor, "n maps u v"]:
    """The discriminator's features after its ``layer``-th convolution and activation, counted from 1.

    Raises:
        InputError: there is no such layer.
    """
    seen = 0
    for part in discriminator.features:
        x = part(x)
        seen += isinstance(part, nn.LeakyReLU)
        if seen == layer:
            return x
    raise InputError(f"This discriminator has {seen} convolutions, layer must be 1 … {seen}, got {layer}.")


def feature_nll(real_features: Float[Tensor, "n maps u v"], features: Float[Tensor, "n maps u v"]) -> Values:
    """``½ ‖D_l(x) - D_l(x̂)‖²``, one value a picture (Larsen et al. 2016, eqs. 7 and 8, without the constant)."""
    return 0.5 * (real_features - features).square().flatten(1).sum(1)


class VAEGAN:
    """Encoder, decoder and discriminator with their three update rules.

    Args:
        encoder: maps `(x, y)` to `(N, 2, latent_dim)`, mean and log-variance.
        decoder: maps `(z, y)` to images in [-1, 1].
        discriminator: maps `(x, y)` to logits `(N,)`.
        layer: l, the convolution of the discriminator whose features are compared.
        gamma: γ, the weight of the likelihood in the decoder's loss.
        prior_weight: of L_prior in the encoder's loss, 1 in the paper. L_llike is a sum over features, whose scale is
            nobody's choice; where it is large, a heavier L_prior keeps the codes where latents are drawn.
        loss: `"minimax"` is L_GAN as written; `"nonsaturating"` replaces the decoder's side of it as GANs do.
        lr: Adam's learning rate of encoder and decoder.
        lr_d: that of the discriminator.
        betas: Adam's moments.
        ema_decay: of the averaged decoder, which draws what `sample` returns; 0 is the trained one itself. The game
            makes the decoder's weights go round, as in any GAN; the paper does not average.
        seed: of codes and latents.
        device: where the networks live.

    Raises:
        InputError: γ or the prior's weight is not positive, or there is no such layer.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Generator,
        discriminator: Discriminator,
        *,
        layer: int = 1,
        gamma: float = 0.01,
        prior_weight: float = 1.0,
        loss: str = "nonsaturating",
        lr: float = 1e-3,
        lr_d: float = 1e-3,
        betas: tuple[float, float] = (0.5, 0.999),
        ema_decay: float = 0.0,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if not 0 < gamma < math.inf:
            raise InputError(f"gamma weighs the likelihood in the decoder's loss and is positive, got {gamma}.")
        if not 0 < prior_weight < math.inf:
            raise InputError(f"prior_weight weighs L_prior in the encoder's loss and is positive, got {prior_weight}.")
        if not 0 <= ema_decay < 1:
            raise InputError(f"The decay of the averaged decoder is in [0, 1), got ema_decay={ema_decay}.")
        self.device = torch.device(device)
        self.encoder, self.decoder = encoder.to(self.device), decoder.to(self.device)
        self.discriminator = discriminator.to(self.device)
        for network in (self.encoder, self.decoder, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        with torch.no_grad(), evaluating(self.discriminator):
            features_at(self.discriminator, torch.zeros(1, *discriminator.shape, device=self.device), layer)
        self.latent_dim, self.n_classes = decoder.latent_dim, decoder.n_classes
        self.layer, self.gamma, self.prior_weight, self.loss = layer, gamma, prior_weight, get_loss(loss)
        self.ema = AveragedModel(decoder, multi_avg_fn=ema_average(ema_decay)).eval().requires_grad_(False)
        self.optimizer_e = torch.optim.Adam(encoder.parameters(), lr, betas, fused=True)
        self.optimizer_g = torch.optim.Adam(decoder.parameters(), lr, betas, fused=True)
        self.optimizer_d = torch.optim.Adam(discriminator.parameters(), lr_d, betas, fused=True)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self._terms = torch.zeros(3, device=self.device)  # sums since they were read: L_prior, L_llike, steps

    def latents(self, n: int) -> Codes:
        """Draws `(n, latent_dim)` from N(0, I), of the model's own stream."""
        return torch.randn(n, self.latent_dim, generator=self.rng, device=self.device)

    def discriminator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """One step of the discriminator down L_GAN; encoder and decoder receive nothing.

        Returns:
            ``L_GAN`` before the step, mean over the batch, detached.
        """
        with torch.no_grad():
            mean, log_var = self.encoder(real, labels).unbind(1)
            rebuilt = self.decoder(reparameterise(mean, log_var, self.rng), labels)
            drawn = self.decoder(self.latents(len(real)), labels)
        on_real, on_drawn, on_rebuilt = (self.discriminator(x, labels) for x in (real, drawn, rebuilt))
        loss = (softplus(-on_real) + softplus(on_drawn) + softplus(on_rebuilt)).mean()  # -log σ(t) = softplus(-t)
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer_d.step()
        return loss.detach()

    def generator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """One step of the encoder and one of the decoder, from the same forward pass; D receives nothing.

        Returns:
            The decoder's loss before the step, mean over the batch, detached.
        """
        with frozen(self.discriminator):
            mean, log_var = self.encoder(real, labels).unbind(1)
            rebuilt = self.decoder(reparameterise(mean, log_var, self.rng), labels)
            drawn = self.decoder(self.latents(len(real)), labels)
            real_features = features_at(self.discriminator, real, self.layer).detach()
            llike = feature_nll(real_features, features_at(self.discriminator, rebuilt, self.layer)).mean()
            prior = gaussian_kl(mean, log_var).mean()
            logits = [self.discriminator(x, labels) for x in (drawn, rebuilt)]
            fooling = torch.stack([self.loss.g(t, t).mean() for t in logits]).sum()
            encoder_loss, decoder_loss = self.prior_weight * prior + llike, self.gamma * llike + fooling
            self._descend(self.encoder, self.optimizer_e, encoder_loss, keep=True)
            self._descend(self.decoder, self.optimizer_g, decoder_loss, keep=False)
        self.optimizer_e.step()
        self.optimizer_g.step()
        self.ema.update_parameters(self.decoder)
        self._terms += torch.stack([prior.detach(), llike.detach(), torch.ones_like(prior)])
        return decoder_loss.detach()

    @staticmethod
    def _descend(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, *, keep: bool) -> None:
        """Put the gradient of a loss into one network's parameters and no other's."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(network.parameters()), retain_graph=keep)

    def read_terms(self) -> dict[str, float]:
        """Means of ``prior`` and ``llike`` since the last call."""
        prior, llike, steps = self._terms.tolist()
        self._terms.zero_()
        return {"prior": prior / max(steps, 1), "llike": llike / max(steps, 1)}

    def refresh_batchnorm(self, *, batches: int = 4, batch_size: int = 128) -> None:
        """Give the averaged decoder BatchNorm statistics of its own: `standing_statistics`."""
        standing_statistics(
            self.ema, self.latent_dim, self.n_classes, batches=batches, batch_size=batch_size, device=self.device
        )

    def codes(self, x: Images, labels: Int[Tensor, " n"] | None = None) -> Codes:
        """The means of the codes of images, in evaluation mode, on the CPU."""
        check_label_range(labels, self.n_classes)
        with evaluating(self.encoder):
            y = None if labels is None else labels.to(self.device)
            return self.encoder(x.to(self.device), y)[:, 0].cpu()

    def sample(self, z: Codes, labels: Int[Tensor, " n"] | None = None) -> Images:
        """Images of codes by the averaged decoder, on the CPU; call `refresh_batchnorm` first if training went on.

        Raises:
            InputError: codes of the wrong length, or a label that is not a class.
        """
        check_latents(z, self.latent_dim)
        check_label_range(labels, self.n_classes)
        with torch.no_grad():
            y = None if labels is None else labels.to(self.device)
            return self.ema(z.to(self.device), y).cpu()


def build_vae_gan(
    *,
    resolution: int,
    channels: int,
    latent_dim: int,
    n_classes: int = 0,
    width: int = 24,
    norm: str = "spectral",
    layer: int = 1,
    gamma: float = 0.01,
    prior_weight: float = 1.0,
    loss: str = "nonsaturating",
    lr: float = 1e-3,
    lr_d: float = 1e-3,
    ema_decay: float = 0.0,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> VAEGAN:
    """A VAE/GAN of DCGAN's networks, with classes a CVAE-GAN, initialised from its seed; arguments as in `VAEGAN`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"resolution": resolution, "channels": channels, "width": width, "n_classes": n_classes}
        encoder, decoder = Encoder(latent_dim=latent_dim, **sizes), Generator(latent_dim=latent_dim, **sizes)
        discriminator = Discriminator(norm=norm, **sizes)
    return VAEGAN(
        encoder,
        decoder,
        discriminator,
        layer=layer,
        gamma=gamma,
        prior_weight=prior_weight,
        loss=loss,
        lr=lr,
        lr_d=lr_d,
        ema_decay=ema_decay,
        seed=seed,
        device=device,
    )
