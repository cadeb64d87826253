"""A panel of judges for samples of one data set: distance, coverage, likeness and modes, with one protocol.

What a comparison of several GANs asks of each: the real pictures are read once, and every set of samples after that is
measured against them in the same way.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganbook import data
from ganbook.errors import unknown_name
from ganbook.evaluation.extractors import JudgeExtractor, get_extractor
from ganbook.evaluation.protocol import metric_name
from ganbook.evaluation.runs import apart
from ganbook.evaluation.targets import choose_extractor
from ganbook.metrics import Moments, frechet_from_moments, mode_score, pairwise_ms_ssim, precision_recall
from ganbook.models.progressive import area
from ganbook.plotting import to_uint8

MOST_REAL = 10_000  # held-out pictures that samples are compared with; of any, for precision and recall
AGAINST = ("held-out", "train")
PAIRS, FEW_PAIRS = 100, 40  # of images, for MS-SSIM, the dearest of the measures: at the end, and at a look


class Panel:
    """Real pictures, and how samples are compared with them.

    Emoji are read by their judge, at the 32 pixels that it knows; all other sets by the Inception network.

    Args:
        dataset: a name that `ganbook.data.load` knows.
        resolution: of the samples.
        device: where features are computed.
        against: ``"held-out"``, at most `MOST_REAL` pictures that training did not see, or ``"train"``, all that it
            did, with which most of the published distances were measured.

    Raises:
        InputError: another word for ``against``; the nearest is suggested.
    """

    def __init__(self, dataset: str, resolution: int, *, device: torch.device, against: str = "held-out") -> None:
        if against not in AGAINST:
            raise unknown_name("comparison", against, AGAINST)
        held_out = against == "held-out"
        self.dataset = dataset
        self.compared = apart(dataset, resolution) if held_out else data.load(dataset, resolution=resolution)
        images = data.to_tensors(self.compared)[0]
        self.images = evenly(images, MOST_REAL) if held_out else images
        self.extractor = get_extractor(choose_extractor("auto", dataset, 32), device=device)
        self.judge = self.extractor.judge if isinstance(self.extractor, JudgeExtractor) else None
        self.real = self.features(self.images)
        self.real_logits = None if self.judge is None else self.extractor.logits(self.real)

    def features(self, images: Tensor) -> Tensor:
        """Of images `(n, c, h, w)` in [-1, 1], `(n, d)`; a judge sees them shrunk to the size that it reads."""
        if self.judge is not None and images.shape[2] > self.judge.resolution:
            images = area(images, self.judge.resolution)
        pixels = torch.from_numpy(to_uint8(images)).permute(0, 3, 1, 2)
        return torch.cat([self.extractor.features(part).cpu() for part in pixels.split(500)])

    def look(self, images: Tensor) -> dict[str, float]:
        """Precision, recall and pairwise MS-SSIM of samples: high similarity and low recall are a collapse."""
        images = presentable(images)
        return self._apart(self.features(images)) | {"ms_ssim": similarity(images, pairs=FEW_PAIRS)}

    def judged(self, images: Tensor) -> dict[str, float]:
        """All that the panel measures: besides a `look`, the Fréchet distance and, with a judge, the mode score."""
        images = presentable(images)
        fake = self.features(images)
        found: dict[str, float] = {}
        if min(len(fake), len(self.real)) > fake.shape[1]:
            moments = (Moments(rows.shape[1]).update(rows) for rows in (self.real, fake))
            found[self.distance(len(images))] = frechet_from_moments(*moments)
        found |= self._apart(fake) | {"ms_ssim": similarity(images)}
        if self.real_logits is not None:
            found["mode_score"] = mode_score(self.real_logits, self.extractor.logits(fake))
        return found

    def distance(self, n: int) -> str:
        """The name of the Fréchet distance of n samples."""
        return metric_name("frechet", n, self.extractor.name)

    def _apart(self, fake: Tensor) -> dict[str, float]:
        n = min(len(fake), len(self.real), MOST_REAL)
        shares = precision_recall(evenly(self.real, n), fake[:n])
        return {"precision": shares.precision, "recall": shares.recall}

    @cached_property
    def real_similarity(self) -> float:
        """Pairwise MS-SSIM of the real pictures: the value to meet."""
        return similarity(self.images)

    def protocol(self, n: int) -> dict[str, Any]:
        """How n samples are measured, for the record."""
        side = self.judge.resolution if self.judge is not None else self.compared.images.shape[2]
        return {
            "dataset": self.dataset,
            "split": self.compared.split,
            "preprocessing": f"{self.compared.preprocessing}, features at {side} px",
            "n_real": len(self.images),
            "n_fake": n,
            "extractor": self.extractor.name,
            "extractor_sha256": self.extractor.sha256,
        }


def evenly(rows: Tensor, n: int) -> Tensor:
    """At most n rows, evenly spaced: files often lie class by class."""
    return rows[torch.linspace(0, len(rows) - 1, min(len(rows), n)).long()]


def presentable(images: Tensor) -> Tensor:
    """Samples as pictures: what is no number becomes black, what is outside [-1, 1] its border."""
    return images.nan_to_num(-1.0).clamp(-1, 1)


def similarity(images: Tensor, *, pairs: int = PAIRS) -> float:
    """Mean MS-SSIM of random pairs of a set, always the same pairs."""
    return pairwise_ms_ssim(images, pairs=pairs, generator=torch.Generator().manual_seed(0)).mean
