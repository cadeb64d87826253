"""Two processes have the result of one process with the joint batch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ganbook import distributed
from ganbook.checkpoint import load_state
from ganbook.distributed import JointDraws, World, joint_batch_norm, shares, synchronise
from ganbook.errors import InputError
from ganbook.experiment import Run
from ganbook.models.gan import GAN
from ganbook.nn import mlp

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "material" / "joint_batch.py"


def material():
    spec = importlib.util.spec_from_file_location("joint_batch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


joint = material()


pytestmark = pytest.mark.xdist_group("distributed")  # one worker starts the two processes, once


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of what two gloo processes have made of every case."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(SCRIPT), str(folder)], env=environment, capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("case", joint.CASES)
def test_two_processes_take_the_steps_of_one_with_the_joint_batch(two, tmp_path, case):
    one, both = joint.outcome(case, tmp_path), load_state(two / f"{case}.safetensors")
    assert torch.equal(one["rng"], both["rng"]) and torch.equal(one["order"], both["order"])
    for player in ("d", "g"):
        a, b = one["gradients"][player], both["gradients"][player]
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4 * a.abs().max().item())
    torch.testing.assert_close(both["losses"], one["losses"], rtol=1e-3, atol=1e-3)
    for name, value in one["buffers"].items():
        torch.testing.assert_close(both["buffers"][name], value, rtol=1e-3, atol=1e-4)
    if one["augment_p"] is not None:
        assert one["augment_p"] > 0 and torch.equal(one["augment_p"], both["augment_p"])


def test_what_two_processes_saved_one_can_continue(two):
    run = Run(joint.config("spectral"), two / "spectral", device="cpu")
    assert run.resume() and run.history.step == 3
    assert not list((two / "spectral").glob(".*"))


class Solo:
    """This process as if it were one of several whose data are all like its own."""

    def __init__(self, monkeypatch, rank=0, size=2):
        monkeypatch.setattr(distributed, "world", lambda: World(rank, size))
        monkeypatch.setattr(distributed.dist, "all_reduce", lambda x: x.mul_(size))


def test_each_process_gets_its_rows_of_the_joint_draw(monkeypatch):
    def draws(rng, n):
        return [
            torch.randn(n, 5, generator=rng),
            torch.rand(n, 1, 1, 1, generator=rng),
            torch.randint(0, 9, (2, n, 1), generator=rng),
            torch.randint(9, (n,), generator=rng),
            torch.randn(torch.Size([n, 2]), generator=rng),
        ]

    whole = draws(torch.Generator().manual_seed(3), 6)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "world", lambda rank=rank: World(rank, 2))
        rng, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
        with JointDraws(rng, 3):
            parts.append(draws(rng, 3))
            assert torch.equal(torch.rand(3, generator=other), torch.rand(3, generator=other.manual_seed(3)))
    for i, (value, first, second) in enumerate(zip(whole, *parts, strict=True)):
        assert torch.equal(value, torch.cat([first, second], dim=1 if i == 2 else 0))


def test_shares_are_consecutive_rows(monkeypatch):
    stream = iter([(torch.arange(6), torch.arange(6) + 10), (torch.arange(6), None)])
    monkeypatch.setattr(distributed, "world", lambda: World(1, 3))
    rows = list(shares(stream, 6))
    assert rows[0][0].tolist() == [2, 3] and rows[0][1].tolist() == [12, 13] and rows[1][1] is None
    with pytest.raises(InputError, match="batch_size=8 for 3 processes. Choose a multiple of 3"):
        shares(stream, 8)


@pytest.mark.parametrize("affine", [True, False])
def test_joint_batchnorm_of_equal_shares_is_batchnorm(monkeypatch, affine):
    """Where both processes hold the same half, the joint batch is that half twice."""
    Solo(monkeypatch)
    torch.manual_seed(0)
    plain, other = nn.BatchNorm2d(3, affine=affine), nn.BatchNorm2d(3, affine=affine)
    half = torch.randn(4, 3, 5, 5) + 2
    x, y = (half.clone().requires_grad_() for _ in range(2))
    for _ in range(2):
        expected, value = plain(torch.cat([x, x]))[:4], joint_batch_norm(other, y)
    torch.testing.assert_close(value, expected)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], buffer)
    weights = torch.randn(4, 3, 5, 5)
    (plain(torch.cat([x, x])) * torch.cat([weights, weights])).sum().backward()
    (joint_batch_norm(other, y) * weights).sum().backward()
    torch.testing.assert_close(2 * y.grad, x.grad)  # x stands in both halves
    assert y.grad.abs().max() > 0.1
    torch.testing.assert_close(plain.eval()(half), joint_batch_norm(other.eval(), half))


def test_refusals(monkeypatch):
    Solo(monkeypatch)
    with pytest.raises(InputError, match=r"Layer 'net.*' .minibatch discrimination. compares all samples"):
        synchronise(mlp.Discriminator(width=8, kernels=2), torch.device("cpu"))
    monkeypatch.setattr("ganbook.models.gan.world", distributed.world)
    with pytest.raises(InputError, match="unroll=1 foresees .* Train on one process, or set unroll=0"):
        GAN(mlp.Generator(width=8), mlp.Discriminator(width=8), unroll=1)


def test_alone_nothing_is_exchanged():
    assert distributed.world() == World(0, 1) and distributed.is_main()
    network = mlp.Generator(width=8)
    assert synchronise(network, torch.device("cpu")) is network
    assert distributed.join(torch.device("cpu")) == torch.device("cpu")
