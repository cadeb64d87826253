"""Data sets as uint8 arrays, batches on the device, and toy distributions."""

from ganbook.data.batches import Batches
from ganbook.data.sets import ImagePairs, ImageSet, Spec, load, to_tensors
from ganbook.data.translation import load_pairs

__all__ = ["Batches", "ImagePairs", "ImageSet", "Spec", "load", "load_pairs", "to_tensors"]
