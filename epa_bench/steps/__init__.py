"""What each cell does: one file a step, each with `run(context)`. Run in worker processes."""
