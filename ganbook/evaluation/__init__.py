"""Measuring what a generator has learnt: feature networks, streamed statistics, values with their protocol."""

from ganbook.evaluation.compare import evaluate
from ganbook.evaluation.extractors import get_extractor
from ganbook.evaluation.protocol import Protocol, Value, table
from ganbook.evaluation.runs import measure, spread

__all__ = ["Protocol", "Value", "evaluate", "get_extractor", "measure", "spread", "table"]
