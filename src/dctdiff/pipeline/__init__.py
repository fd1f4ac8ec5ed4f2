"""Plumbing: files, errors, progress, launchers, command lines, and what a number depends on. Nothing of the method."""
