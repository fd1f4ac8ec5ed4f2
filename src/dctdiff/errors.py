"""Errors that a user can cause and mend."""


class UserError(Exception):
    """One line: what was found, what was expected, what to do. Shown without a traceback."""
