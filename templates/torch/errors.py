# Errors that a user can cause and mend. Each code has a page in hirec's docs/diagnostics.

from __future__ import annotations


class HireError(RuntimeError):
    """What is wrong, under a code that never changes its meaning, and what to do about it."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(f"{code}: {message}. {fix}")
        self.code = code
        self.message = message
        self.fix = fix
