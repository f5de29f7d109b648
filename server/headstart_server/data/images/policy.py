"""What becomes of rows whose image cannot be used: the policy that the spec chose."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import MAX_VIOLATIONS, InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import Where
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.parts import Part

_NAMED = 10


def settle_bad_images(images: ScannedImages, policy: str, parts: npt.NDArray[np.int8], where: Where) -> str:
    """Applies `fail`, `drop` or `default` to the rows in `images.bad`, and says what was done with which.

    Dropped rows leave `parts`. Raises InvalidInputError naming every row where the policy is `fail`.
    """
    bad = {row: reason for row, reason in sorted(images.bad.items()) if parts[row] != Part.DROPPED}
    for row in images.bad.keys() - bad.keys():
        images.use_default(row)  # left out already; nobody shall try its file again
    images.bad.clear()
    if not bad:
        return ""
    if policy == "fail":
        require_usable_images(bad, where)
    for row in bad:
        images.use_default(row)
        if policy == "drop":
            parts[row] = Part.DROPPED
    named = "; ".join(f"{where.locate(row)}: {reason}" for row, reason in list(bad.items())[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    done = "are left out" if policy == "drop" else "are replaced by the default image"
    return f"column {where.column!r}: {len(bad)} images cannot be used and {done}: {named}{more}"


def require_usable_images(bad: Mapping[int, str], where: Where) -> None:
    """Raises InvalidInputError naming every row whose image cannot be used, the first twenty of them."""
    if bad:
        errors = [where.error(row, reason) for row, reason in sorted(bad.items())[:MAX_VIOLATIONS]]
        violations = [violation for error in errors for violation in error.violations]
        raise InvalidInputError(violations, reason=Reason.BAD_IMAGE, unlisted=len(bad) - len(violations))
