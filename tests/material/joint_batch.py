"""Short runs whose outcome `tests/test_distributed.py` compares between one process and two.

``torchrun --nproc-per-node 2 joint_batch.py FOLDER`` runs every case and leaves the outcomes in FOLDER.
"""

import sys
from pathlib import Path

import torch

from ganbook.checkpoint import save_state
from ganbook.config import Config
from ganbook.distributed import is_main
from ganbook.experiment import Run

TINY = {"width_g": 4, "width_d": 4, "latent_dim": 4, "batch_size": 12, "steps": 3, "flip": True, "lr_d": 1e-3}
CASES = {
    "batchnorm": {"norm": "batch", "conditional": True},
    "spectral": {"norm": "spectral", "loss": "hinge", "n_dis": 2, "conditional": False},
    "wgan_gp": {"norm": "none", "loss": "wasserstein", "penalty": "wgan_gp", "penalty_weight": 10.0},
    "r1_r2": {"norm": "none", "loss": "rpgan", "penalty": "r1_r2", "penalty_weight": 1.0},
    "noise": {
        "norm": "batch",
        "joint_batch": True,
        "reuse_fakes": True,
        "real_target": 0.8,
        "instance_noise": 0.1,
        "augment": "color,translation",
        "ada_target": 0.6,
    },
}


def config(case):
    return Config.from_mapping({**TINY, **CASES[case]})


def outcome(case, folder):
    """History, first gradients, weights and streams after a few steps."""
    run = Run(config(case), folder, device="cpu")
    first = {}

    def keep_gradients(history):
        if history.step == 1:
            for name, network in (("d", run.gan.discriminator), ("g", run.gan.generator)):
                first[name] = torch.cat([p.grad.flatten() for p in network.parameters()])

    history = run.train(log_every=1, progress=False, hooks=(keep_gradients,))
    return {
        "losses": [[row["d_loss"], row["g_loss"]] for row in history.rows],
        "gradients": first,
        "rng": run.gan.rng.get_state(),
        "order": run.batches.state_dict()["order"],
        "buffers": {name: b for name, b in run.gan.generator.named_buffers() if "running" in name},
        "augment_p": run.gan.augment_p,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    for name in CASES:
        result = outcome(name, target / name)
        if is_main():
            save_state(result, target / f"{name}.safetensors")
