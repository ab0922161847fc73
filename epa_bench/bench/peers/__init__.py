"""The sides of a comparison, one file each. All take the same steps from the same weights."""
