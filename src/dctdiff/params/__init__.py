"""What each key of params.yaml may be, and which jobs a suite has."""
