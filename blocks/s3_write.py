"""A conditional write to S3 (`If-None-Match: *`) that ends in a plain answer: we created it, or somebody else did.

A request can be carried out although its answer is lost; botocore and s3fs then send it again, and the
second one finds the name taken, by us. So a refusal is not an answer until one has looked.
"""

import time
from collections.abc import Callable

from blocks.s3_errors import FAILURES, s3_code
from schemas.errors import LakeError, LakeUnavailable

_CONFLICT_ATTEMPTS = 6


def write_once(
    request: Callable[[], None], *, is_ours: Callable[[], bool | None], explain: Callable[[BaseException], LakeError]
) -> bool:
    """Carry out the conditional write `request`, and return whether the object that is there is ours.

    Args:
        request: Sends the write.
        is_ours: Looks at the object: True if we wrote it, False if somebody else did, None if it is not there.
        explain: Turns what `request` raised into the error to raise.

    Raises:
        LakeError: The store refused, for another reason than that the name is taken.
        LakeUnavailable: The store failed, and the object is not there, or one cannot tell.
    """
    for attempt in range(_CONFLICT_ATTEMPTS):
        try:
            request()
        except FAILURES as error:
            code, _ = s3_code(error)
            # Another write to this name was under way. It may yet fail, so this says nothing.
            if code == "ConditionalRequestConflict" and attempt + 1 < _CONFLICT_ATTEMPTS:
                time.sleep(0.1 * 2**attempt)
                continue
            failure = explain(error)
            if code not in ("PreconditionFailed", "412") and not isinstance(failure, LakeUnavailable):
                raise failure from error
            try:
                ours = is_ours()
            except LakeError:
                ours = None
            if ours is None:
                raise failure from error
            return ours
        return True
    raise AssertionError("unreachable: the last attempt returns or raises")
