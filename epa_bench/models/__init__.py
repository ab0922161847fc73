"""Loading and saving checkpoints, the one score pass."""
