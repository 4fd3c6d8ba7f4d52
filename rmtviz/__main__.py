"""`python -m rmtviz` is the command line."""

from rmtviz.cli import main

main(prog_name="rmtviz")
