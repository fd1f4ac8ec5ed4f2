"""What each key of params.yaml may be: one module per stage."""
