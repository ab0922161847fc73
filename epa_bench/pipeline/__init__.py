"""The one main path: a sweep file in, a margin table out."""
