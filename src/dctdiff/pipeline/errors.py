"""Errors that a user can cause and mend."""

# Set in each of several processes of a stage: where to say an error, of which the first is shown.
ERROR_FILE = "DCTDIFF_ERROR_FILE"


class UserError(Exception):
    """One line: what was found, what was expected, what to do. Shown without a traceback."""

    exit_code = 1


class Interrupted(UserError):
    """The work was asked to stop, and what is done is saved: the same command goes on."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h
