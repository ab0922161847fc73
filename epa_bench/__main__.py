"""`python -m epa_bench`: the command line where the console script is not on the PATH."""

from epa_bench.cli import main

if __name__ == "__main__":
    main()
