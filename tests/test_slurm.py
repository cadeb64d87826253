"""The Slurm profile against a real Slurm of one node, on the loopback interface; skipped where there is none."""

import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ganbook.results import read_records

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "material" / "tiny.py"
DAEMONS = ("munged", "slurmctld", "slurmd")
PLUGIN = "snakemake_executor_plugin_slurm"
DECLARED = "tiny: {title: Tiny, smoke: {}, cpu: {seeds: [0, 1], resources: {minutes: 5, memory: 0.5}}}\n"

CONFIG = """
ClusterName=ganbook
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1500 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What this machine lacks for a Slurm of its own, and how to get it."""
    found = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in DAEMONS}
    if None in found.values():
        return "no Slurm on this machine to try the profile with: apt install slurm-wlm munge"
    if importlib.util.find_spec(PLUGIN) is None:
        return "no Slurm plugin for Snakemake: pip install snakemake-executor-plugin-slurm"
    if os.geteuid() != 0:
        return "only root may start Slurm's daemons"
    return ""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    """A Slurm of one node; its commands find it by SLURM_CONF."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    names = {"host": socket.gethostname().split(".")[0], "user": getpass.getuser(), "folder": folder}
    text = CONFIG.format(**names, ports=free_ports(2), cores=os.cpu_count())
    (folder / "slurm.conf").write_text(text)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    # the plugin clears SLURM_* before it calls srun inside a job; a cluster's own is found under /etc without it
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}:/usr/sbin:/sbin")
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
    munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    daemons = []
    try:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
            daemons.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(1)
        deadline = time.monotonic() + 60
        while "idle" not in (state := said("sinfo", "-h", "-o", "%T")) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert "idle" in state, (folder / "slurmctld.log").read_text()[-2000:]
        yield folder
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def project(folder: Path) -> Path:
    (folder / "notebooks" / "experiments").mkdir(parents=True)
    shutil.copy(TINY, folder / "notebooks" / "experiments")
    (folder / "notebooks" / "experiments.yml").write_text(DECLARED)
    for name in ("ganbook", "book"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def batch(folder: Path, *more: str) -> None:
    command = [sys.executable, "-m", "book.tools.batch", "runs", "cpu", "--snakefile", str(ROOT / "Snakefile"), *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    log = folder / "runs" / "batch-cpu.log"
    assert done.returncode == 0, done.stderr + log.read_text()[-3000:]


@pytest.mark.long
def test_a_sweep_through_slurm_gives_the_same_table_as_the_local_batch(slurm, tmp_path):
    there, here = project(tmp_path / "there"), project(tmp_path / "here")
    batch(there, "--profile", str(ROOT / "profiles" / "slurm"), "--latency-wait", "5")
    batch(here)
    tables = [[(r.result_id, r.metrics, r.params) for r in read_records(place / "runs")] for place in (there, here)]
    assert len(tables[0]) == 2 and tables[0] == tables[1]
    log = (slurm / "slurmctld.log").read_text()
    assert log.count("WEXITSTATUS 0") == 2  # it was Slurm that ran them


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_a_profile_says_who_runs_and_what_a_run_gets_by_default(name):
    profile = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    assert profile["executor"] == name
    assert profile["default-resources"]["mem_mb"] > 0
    if importlib.util.find_spec(plugin := f"snakemake_executor_plugin_{name}") is None:
        return
    settings = importlib.import_module(plugin).ExecutorSettings
    known = {f"{name}-{field.replace('_', '-')}" for field in settings.__dataclass_fields__}
    assert {key for key in profile if key.startswith(f"{name}-")} <= known
