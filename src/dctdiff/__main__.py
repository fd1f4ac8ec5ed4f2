"""``python -m dctdiff``: the command line ``dctdiff``."""

from dctdiff.commands.shell import run

run()
