"""epa-bench: train EPA, DPO and their controls from one reference, then measure the margin between them."""

__version__ = "0.1.0"
