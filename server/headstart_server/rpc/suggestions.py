"""A suggested spec as a message."""

from headstart.v1 import training_pb2 as pb

from headstart_server.rpc.jobs import resolved_value
from headstart_server.rpc.messages import spec_message
from headstart_server.suggestion.columns import Finding
from headstart_server.suggestion.commented import commented
from headstart_server.suggestion.suggest import Suggestion


def suggestion_message(found: Suggestion) -> pb.SuggestSpecResponse:
    """What SuggestSpec answers."""
    return pb.SuggestSpecResponse(
        spec=spec_message(found.spec.compact()),
        spec_yaml=commented(found),
        columns=map(_column, found.findings),
        warnings=[pb.JobWarning(reason=reason, message=message) for reason, message in found.warnings],
        row_count=found.rows,
        profiled_row_count=found.looked_at,
        resolved_values=map(resolved_value, found.resolved.values()),
    )


def _column(finding: Finding) -> pb.SuggestedColumn:
    role = pb.SuggestedColumn.ROLE_INPUT if finding.type else pb.SuggestedColumn.ROLE_LEFT_OUT
    return pb.SuggestedColumn(
        column=finding.name,
        role=pb.SuggestedColumn.ROLE_OUTPUT if finding.target else role,
        type=finding.type,
        reason=finding.reason,
        evidence=finding.evidence,
        empty_count=finding.profile.empty,
        distinct_count=finding.profile.distinct,
    )
