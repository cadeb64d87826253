"""Data sets as uint8 arrays, batches on the device, and toy distributions."""

from ganbook.data.batches import Batches
from ganbook.data.sets import ImagePairs, ImageSet, load, load_pairs, to_tensors

__all__ = ["Batches", "ImagePairs", "ImageSet", "load", "load_pairs", "to_tensors"]
