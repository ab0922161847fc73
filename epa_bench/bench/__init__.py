"""Measuring this package against others, in one run, on the machine at hand."""
