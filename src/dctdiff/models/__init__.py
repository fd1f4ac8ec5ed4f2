"""A network with its space and schedule: training, sampling, files and cost."""
