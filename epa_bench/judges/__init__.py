"""Who decides between two answers. No torch."""
