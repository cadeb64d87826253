"""The library behind the GAN book.

Each idea of the book lives once, in a file short enough to read beside the paper: losses, networks, the training
loop, metrics. The notebooks under ``notebooks/`` call it; papermill runs them; the runs become the book.
"""

__version__ = "0.1.0"
