"""Running cells somewhere. This room knows nothing of what a cell does."""
