"""Generation: what answers a suite's prompts."""
