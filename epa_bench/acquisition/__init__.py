"""Acquisition: which rows of a pool to label next. Representations and selectors by name; torch only in the models."""
