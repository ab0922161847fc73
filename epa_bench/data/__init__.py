"""Readers, rendering, the plan of comparison groups and the embedded task: what is known before a model loads."""
