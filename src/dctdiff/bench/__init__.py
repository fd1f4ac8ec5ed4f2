"""Benchmarks: how fast the parts are, beside the ceilings of the machine. `make bench` runs all of them.

Each module measures one subject in a process of its own and writes one JSON file. They measure the
code that the stages run, on the shapes of the paper's models, with random images and weights.
"""
