"""
`python -m metriclake`: the command line.
"""

from metriclake.cli import main

main()
