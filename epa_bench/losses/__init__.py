"""Losses: one file a loss, each a pure function of a score matrix; `table.py` lists them and imports no torch."""
