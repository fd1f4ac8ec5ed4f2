"""The diffusion process: schedule, loss, samplers and random draws. Pure mathematics."""
