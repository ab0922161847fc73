"""One page to look at: a section a file, rendered by templates that escape by default. No torch."""
