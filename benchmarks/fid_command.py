"""`ganbook evaluate` against pytorch-fid's command on the same two folders with the same weights: values and times.

    python benchmarks/fid_command.py zip:celeba10k.zip --n 5000

Writes two folders of n PNGs each (real pictures, disjoint), runs both commands as a user would, then ours once more
with the real statistics cached.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from ganbook import data
from ganbook.evaluation.inception import HEAD, OFFICIAL, load_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a set with at least 2n pictures")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--crop", default="178")
    arguments = parser.parse_args()
    images = data.load(arguments.name, split="all", resolution=arguments.resolution, crop=arguments.crop).images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    weights, origin = load_weights()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for side, chosen in (("real", order[: arguments.n]), ("fake", order[arguments.n : 2 * arguments.n])):
            (root / side).mkdir()
            for i in chosen:
                Image.fromarray(images[i].transpose(1, 2, 0)).save(root / side / f"{i:06}.png")
        hub = root / "torch" / "hub" / "checkpoints"
        hub.mkdir(parents=True)
        head = {HEAD: torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
        torch.save({**head, **weights}, hub / OFFICIAL.name)
        environment = {**os.environ, "TORCH_HOME": str(root / "torch"), "GANBOOK_CACHE": str(root / "cache")}
        metric = ["--metrics", "frechet", "--extractor", "inception", "-o", str(root / "values.json")]
        ours = [sys.executable, "-m", "ganbook.cli", "evaluate", str(root / "fake")]
        ours += ["--against", f"folder:{root / 'real'}:all", *metric]
        reference = "import ganbook._torchvision, pytorch_fid.fid_score as f; f.main()"
        theirs = [sys.executable, "-c", reference, str(root / "real"), str(root / "fake"), "--num-workers", "2"]
        say(f"{arguments.n:,} pictures a side, {arguments.resolution} px, {torch.get_num_threads()} threads; {origin}")
        seconds_theirs, text = timed(theirs, environment)
        expected = float(re.findall(r"FID:\s+([\d.]+)", text)[-1])
        say(f"pytorch-fid      FID {expected:.6f}  {seconds_theirs:7.1f} s")
        for name in ("ganbook", "ganbook, cached"):
            seconds, _ = timed(ours, environment)
            (value,) = json.loads((root / "values.json").read_text())
            ratio = seconds / seconds_theirs
            say(f"{name:16} FID {value['value']:.6f}  {seconds:7.1f} s  {ratio:.2f} of its time")
    say(f"difference {abs(value['value'] - expected):.1e}")


def say(line: str) -> None:
    """Print at once: a run takes half an hour, and one that is cut short should still leave what it found."""
    print(line, flush=True)


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
