"""The one exception that a user is meant to read."""


class ConfigError(ValueError):
    """Something the user can mend: one sentence that names the field and the remedy.

    The command line prints it after ``error:`` and exits with code 2. A traceback, by contrast,
    is a bug of ours.
    """
