# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tiny experiment, for tests of the batch: it trains nothing and can fail in every way

# %% tags=["parameters"]
loss: str = "hinge"  # which loss
lr: float = 2.0e-4  # step size
steps: int = 3  # how long
flip: bool = False  # mirror the images
seed: int = 0  # of everything
fail: str = ""  # raise, kill, exit, leave, hang or norecord
out: str = "runs/tiny"  # the run's folder

# %%
import json
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(out)
print("threads", os.environ["OMP_NUM_THREADS"])

# %%
if fail == "raise":
    raise ValueError("the loss went up")
if fail == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if fail == "exit":
    raise SystemExit(0)
if fail == "leave":
    os._exit(0)
if fail == "hang":
    (folder / "hangs").touch()
    time.sleep(600)
if fail == "sys.exit":
    sys.exit(0)

# %%
if fail != "norecord":
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps({"loss": loss, "lr": lr, "steps": steps, "seed": seed}))
    (folder / "environment.json").write_text(json.dumps({"git_commit": "0" * 40, "device": "cpu"}))
    (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.9 + seed / 100, "protocol": {"n": 10}}))

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("the accuracy is at least 90%:", 0.9 + seed / 100 >= 0.9)
