"""What a suite can be. Suites are data (a folder with a suite.yaml), kinds are code. No torch."""
