"""A sweep is one YAML file: its typed schema, its loading with line numbers, its grid. Nothing here imports torch."""
