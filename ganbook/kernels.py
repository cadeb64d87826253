"""Kernels forked from a process that has imported everything already.

A notebook's kernel spends seven seconds of processor time on importing torch, its compiler (which every optimizer
brings along) and scipy, often more than a short run computes. A fork of a process that has them starts in
a tenth of a second. Only libraries are shared: the notebook's own imports from ``ganbook`` are made anew, and nothing
was computed, seeded or drawn before the fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# What a kernel and its parent need before the first cell; torch._dynamo comes with the first step of any optimizer.
# Not matplotlib: it chooses its backend on import, and only in a kernel does it choose the one that shows pictures.
LIBRARIES = (
    *("torch", "torch._dynamo", "numpy", "pandas", "scipy.stats", "scipy.optimize", "PIL.Image", "safetensors.torch"),
    *("IPython", "ipykernel.kernelapp", "ipykernel.zmqshell"),
    *("papermill", "nbclient.client", "jupyter_client.manager", "jupytext", "jaxtyping", "tqdm.auto"),
)
PACKAGE = __name__.partition(".")[0]


def import_libraries(names: Sequence[str] = LIBRARIES) -> None:
    """Import them, and keep the garbage collector's hands off, so that forks share their memory."""
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class SpareKernel:
    """A forked process that waits to be told which kernel to be; to be made before its parent has any thread.

    Speaks like `subprocess.Popen`, as far as a kernel manager asks.
    """

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        read, self._orders = os.pipe()
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become_kernel(read)
        os.close(read)

    def start(self, command: Sequence[str], *, cwd: str | Path, env: Mapping[str, str]) -> None:
        """Be the kernel that a command line would start.

        Args:
            command: of the kernel specification, ``python -m ipykernel_launcher -f FILE …``.
            cwd: where it works.
            env: its whole environment.
        """
        order = {"arguments": [*command[command.index("-f") :]], "cwd": str(cwd), "env": dict(env)}
        with os.fdopen(self._orders, "w") as pipe:
            json.dump(order, pipe)

    def poll(self) -> int | None:
        """The exit status, None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        while (status := self.poll()) is None:
            time.sleep(0.02)
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def manager_of(spare: SpareKernel) -> type:
    """A kernel manager, for papermill's ``kernel_manager_class``, whose kernel is a given spare one."""
    from jupyter_client.manager import AsyncKernelManager

    class SpareKernelManager(AsyncKernelManager):
        async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
            provisioner: Any = self.provisioner
            orders = [*kernel_cmd, f"--IPKernelApp.parent_handle={os.getpid()}"]  # it ends when we do
            spare.start(orders, cwd=kw.get("cwd") or Path.cwd(), env=kw.get("env") or os.environ)
            provisioner.process, provisioner.pid, provisioner.pgid = spare, spare.pid, spare.pid
            self._reconcile_connection_info(provisioner.connection_info)

    return SpareKernelManager


def _become_kernel(orders: int) -> NoReturn:
    """Wait for orders, then be that kernel to the end of the process; without orders end at once."""
    status = 1
    try:
        os.setsid()  # so that Ctrl-C reaches the run, which then ends its kernel in good order
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.closerange(3, orders)
        os.closerange(orders + 1, os.sysconf("SC_OPEN_MAX"))
        with os.fdopen(orders) as pipe:
            text = pipe.read()
        if text:
            _run_kernel(json.loads(text))
        status = 0
    except BaseException:  # a fork must never go on as its parent would
        traceback.print_exc()
    finally:
        os._exit(status)


def _run_kernel(order: Mapping[str, Any]) -> None:
    from ipykernel.kernelapp import launch_new_instance

    if sys.path[0] in ("", str(Path.cwd())):
        del sys.path[0]  # put there by `python -m`; what starts a kernel takes it away too
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]  # a notebook imports our own code as it is now
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["ipykernel_launcher", *order["arguments"]]
    launch_new_instance(argv=order["arguments"])
