"""torchvision and pytorch-fid import beside any build of torch."""

import subprocess
import sys


def test_pytorch_fid_imports_in_a_fresh_interpreter():
    code = "import ganbook._torchvision; import torchvision.transforms, pytorch_fid.fid_score; print('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_measuring_with_a_judge_imports_neither_torchvision_nor_torchs_compiler():
    code = (
        "import ganbook.evaluation, sys; print(*({'torchvision', 'torch._dynamo', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
