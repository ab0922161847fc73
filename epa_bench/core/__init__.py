"""Ground floor: errors, records, digests, files, the store. Nothing here imports torch."""
