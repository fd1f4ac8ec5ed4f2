"""What a person runs beside the stages; no result depends on it."""
