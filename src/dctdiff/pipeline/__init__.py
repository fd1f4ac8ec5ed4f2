"""Plumbing: files, errors, progress, launchers, command lines. Nothing of the method, and no number depends on it."""
