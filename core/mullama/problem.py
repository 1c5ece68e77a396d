"""The errors of the parts that fetch and build: each text is one line that says what went wrong and what to do."""


class Problem(Exception):
    """Something the user can put right. Shown as it is, without a traceback."""


class Unavailable(Problem):
    """One place did not deliver, or delivered something else; another place may."""
