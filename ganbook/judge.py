"""Training, keeping and asking the judges: one small classifier per labelled set, made by code in this repository.

Weights lie under ``data/judges/``, where ``ganbook judge NAME`` writes them. MNIST's and emoji's are committed, and
the tests check their accuracy on the held-out pictures; those of sets that have to be downloaded are trained by whoever
has the set.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from ganbook import data
from ganbook.checkpoint import write_atomically
from ganbook.errors import DataError, InputError, unknown_name
from ganbook.nn.judge import Judge

FOLDER = Path(__file__).parent.parent / "data" / "judges"


@dataclass(frozen=True)
class Recipe:
    """How one judge is trained; seed 0, AdamW, one-cycle learning rate."""

    dataset: str
    resolution: int
    epochs: int
    batch_size: int = 128
    lr: float = 3.0e-3  # peak of the cycle
    flip: bool = False


RECIPES = {
    "mnist": Recipe("mnist", resolution=28, epochs=4),
    "emoji": Recipe("emoji", resolution=32, epochs=20, flip=True),
    "fashion_mnist": Recipe("fashion_mnist", resolution=28, epochs=12),
    "emnist": Recipe("emnist", resolution=28, epochs=6),
}
COMMITTED = ("mnist", "emoji")  # the others are trained where their sets are: `ganbook judge emnist`


@dataclass(frozen=True)
class TrainedJudge:
    """A judge with what its numbers must carry: name, classes, test accuracy, hash of the weights."""

    name: str
    network: Judge
    classes: tuple[str, ...]
    resolution: int
    test_accuracy: float
    sha256: str

    @torch.no_grad()
    def logits(self, images: Float[Tensor, "n c h w"], *, batch_size: int = 500) -> Float[Tensor, "n k"]:
        """Class logits of images in [-1, 1]."""
        return torch.cat([self.network(part) for part in self._batches(images, batch_size)])

    @torch.no_grad()
    def features(self, images: Float[Tensor, "n c h w"], *, batch_size: int = 500) -> Float[Tensor, "n d"]:
        """The hidden layer in which ``FD(<name>-judge)`` is measured."""
        return torch.cat([self.network.features(part) for part in self._batches(images, batch_size)])

    def accuracy(self, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> float:
        """The share of images read as the given class."""
        return (self.logits(images).argmax(1) == labels).double().mean().item()

    @torch.no_grad()
    def accuracy_of(self, features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> float:
        """The same share, from the features of the images."""
        return (self.network.head(features).argmax(1) == labels.to(features.device)).double().mean().item()

    def _batches(self, images: Tensor, batch_size: int) -> tuple[Tensor, ...]:
        weight = self.network.head.weight
        channels = self.network.body[0].in_channels
        if images.ndim != 4 or images.shape[1:] != (channels, self.resolution, self.resolution):
            raise InputError(
                f"The {self.name} judge reads images of shape (N, {channels}, {self.resolution}, {self.resolution}) "
                f"in [-1, 1], got {tuple(images.shape)}."
            )
        return images.to(weight.device, memory_format=torch.channels_last).split(batch_size)


def reads(name: str, resolution: int, *, folder: Path = FOLDER) -> bool:
    """Whether there is a trained judge of a set at a resolution."""
    return name in RECIPES and RECIPES[name].resolution == resolution and (folder / f"{name}.safetensors").is_file()


def load_judge(name: str, *, folder: Path = FOLDER) -> TrainedJudge:
    """The committed judge of a data set.

    Raises:
        InputError: there is no judge of that name.
        DataError: its weights are missing or damaged.
    """
    if name not in RECIPES:
        raise unknown_name("judge", name, RECIPES)
    path = folder / f"{name}.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads(file.metadata()["card"])
            weights = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        restore = f"restore them with `git checkout {path.name}` or " if name in COMMITTED else ""
        raise DataError(
            f"The weights of the {name} judge at {path} cannot be read ({error}). To mend it, {restore}train the judge "
            f"with `ganbook judge {name}`."
        ) from None
    network = Judge(channels=card["channels"], n_classes=len(card["classes"]))
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return TrainedJudge(
        name=name,
        network=network.eval().requires_grad_(False),
        classes=tuple(card["classes"]),
        resolution=card["resolution"],
        test_accuracy=card["test_accuracy"],
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def train_judge(name: str, *, folder: Path = FOLDER, progress: bool = True) -> TrainedJudge:
    """Train a judge after its recipe, measure it on the test split and write its weights (half precision, < 1 MB).

    Raises:
        InputError: there is no recipe of that name.
    """
    if name not in RECIPES:
        raise unknown_name("judge", name, RECIPES)
    recipe = RECIPES[name]
    train = data.load(recipe.dataset, split="train", resolution=recipe.resolution)
    test = data.load(recipe.dataset, split="test", resolution=recipe.resolution)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Judge(channels=train.images.shape[1], n_classes=len(train.classes))
        fit(network, train, recipe, progress=progress)
    network.half().float().eval()  # what is measured is what is stored
    images, labels = data.to_tensors(test)
    if labels is None:
        raise InputError(f"A judge reads labels, and data set {recipe.dataset!r} has none.")
    judge = TrainedJudge(name, network, train.classes, recipe.resolution, 0.0, "")
    card = {
        "name": name,
        "channels": train.images.shape[1],
        "resolution": recipe.resolution,
        "classes": list(train.classes),
        "test_accuracy": judge.accuracy(images, labels),
        "test_images": len(labels),
        "data_sha256": train.sha256,
    }
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # the only layout that safetensors stores
    weights = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    write_atomically(folder / f"{name}.safetensors", save(weights, metadata={"card": json.dumps(card)}))
    return load_judge(name, folder=folder)


def fit(network: nn.Module, train: data.ImageSet, recipe: Recipe, *, progress: bool) -> None:
    """Minimise the cross-entropy of a classifier over the recipe's epochs."""
    steps = recipe.epochs * (len(train.images) // recipe.batch_size)
    batches = data.Batches(train, recipe.batch_size, seed=0, flip=recipe.flip)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    network.train()
    for _ in tqdm(range(steps), unit="step", disable=not progress):
        images, labels = next(batches)
        loss = cross_entropy(network(images), cast(Tensor, labels))  # a judge's set has labels
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
