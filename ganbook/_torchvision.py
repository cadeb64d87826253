"""The one place that imports torchvision, and mends the import where it is broken.

The wheels that package indexes offer for torchvision are CUDA builds. Beside a CPU build of torch their C++ library
cannot be loaded, and the import dies with "operator torchvision::nms does not exist", although nothing here uses that
operator: torchvision only registers a rule for it. Declaring the two operators' signatures lets the import pass.
Where the C++ library loads, the operators exist and nothing is declared.
"""

from __future__ import annotations

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a declaration lives as long as its Library object

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + SIGNATURE)
    _declared.append(library)
    import torchvision

__all__ = ["torchvision"]
