"""What a failure of an upload means: another try, another way to send the blob, or an error."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.errors import AuthenticationError, PushError, RegistryError
from buildpush.http.messages import Answer
from buildpush.http.retry import RULES

BAD_REQUEST, NOT_FOUND, WRONG_RANGE, TOO_MANY = 400, 404, 416, 429
# A temporary failure of the registry, or of a proxy in front of it: the upload continues at the registry's offset.
TEMPORARY: Final = frozenset({*RULES, 499})
FINAL_CODES: Final = frozenset({"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNSUPPORTED", "DENIED"})


class RetryableError(Exception):
    """A failure of something that may succeed at another try.

    Args:
        error: raised if it does not.
        answer: of the registry, if there was one.
        lost: whether the session is known to be gone.
        tries: how often to try in a row without any progress.
        certain: whether it is known that the registry kept nothing of what was sent.
        other_way: whether to try another way to send the blob when the tries are used up.
    """

    def __init__(
        self,
        error: PushError | AuthenticationError,
        answer: Answer | None = None,
        *,
        lost: bool = False,
        tries: int | None = None,
        certain: bool = False,
        other_way: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.answer = answer
        self.lost = lost
        self.tries = tries
        self.certain = certain
        self.other_way = other_way


def judge(error: RegistryError, answer: Answer, *, progress: bool) -> Exception:
    """Return *error*, in a form that allows another try where that may succeed.

    Args:
        error: the meaning of the answer.
        answer: of the registry.
        progress: whether the registry has confirmed something of the blob.
    """
    if answer.status in TEMPORARY:
        return RetryableError(error, answer, certain=answer.status == TOO_MANY)
    if error.code in FINAL_CODES:
        return error
    if answer.status == WRONG_RANGE:
        return RetryableError(error, answer, tries=3, other_way=True)
    if answer.status == NOT_FOUND:
        return RetryableError(error, answer, lost=True)
    if answer.status == BAD_REQUEST:
        # A proxy answers 400 when an upload stalls; a second one is a real refusal.
        return RetryableError(error, answer, lost=not progress, tries=2, other_way=True)
    return error
